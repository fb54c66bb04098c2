/**
 * Recognizes files that Lathe does not read by their first bytes, so that the error for a picture does not speak of
 * protobuf fields.
 */
import { LatheError } from '../../errors.ts';

interface FormatSignature {
  /** One character a byte. */
  readonly magic: string;
  readonly at?: number;
  readonly what: string;
}

const PICTURE = 'a picture, no model; pictures are uploaded as a dataset';
const PICKLE = 'a Python pickle, which could run any code; export ONNX';
const PACKED = 'packed in a way that is not read; pack it with gzip or zip';

const FORMAT_SIGNATURES: readonly FormatSignature[] = [
  { magic: 'TFL3', at: 4, what: 'a TensorFlow Lite model; export ONNX, Keras or TF.js' },
  {
    magic: 'ORTM',
    at: 4,
    what:
      "in onnxruntime's own format (.ort), which is made for one build of it; " +
      'upload the ONNX file that it was made from',
  },
  { magic: '{"', at: 8, what: 'a safetensors file: weights without a graph; export ONNX' },
  ...['\x02', '\x03', '\x04', '\x05'].map((version) => ({ magic: `\x80${version}`, what: PICKLE })),
  { magic: 'version https://git-lfs', what: 'a Git LFS pointer; upload the file that it stands for' },
  { magic: '{', what: 'JSON alone; a TF.js model is uploaded as a zip of model.json and its shards' },
  { magic: 'GGUF', what: 'a GGUF model; export ONNX' },
  { magic: '\x93NUMPY', what: 'a NumPy array; arrays are uploaded as a dataset' },
  { magic: '\x89PNG', what: PICTURE },
  { magic: '\xff\xd8\xff', what: PICTURE },
  { magic: '%PDF', what: 'a PDF document' },
  { magic: 'PK\x05\x06', what: 'a zip archive with nothing in it' },
  { magic: 'ustar', at: 257, what: `a tar archive, ${PACKED}` },
  ...['7z\xbc\xaf', '\xfd7zXZ', 'BZh', '\x28\xb5\x2f\xfd'].map((magic) => ({ magic, what: PACKED })),
];

/**
 * How many bytes tell text from a model: protobuf's tags of versions, names and shapes put bytes below 32 among the
 * first of every model.
 */
const TEXT_START = 64;

/**
 * @throws LatheError that says what the file is: `unsupported-format`; text of no known kind is a `malformed-model`.
 */
export function refuseOtherFormats(bytes: Uint8Array): void {
  const mark = FORMAT_SIGNATURES.find(({ magic, at = 0 }) =>
    [...magic].every((char, i) => bytes[at + i] === char.charCodeAt(0)),
  );
  if (mark) throw new LatheError('unsupported-format', `The file is ${mark.what}`);
  if (bytes.length > 0 && isText(bytes.subarray(0, TEXT_START)))
    throw new LatheError('malformed-model', 'The file is text, not a model');
}

/** Archives of frameworks whose graph can only be read by running code or that framework. */
const ARCHIVES: readonly { readonly member: RegExp; readonly what: string }[] = [
  { member: /(^|\/)data\.pkl$/, what: 'a PyTorch file: its pickle could run any code; export ONNX' },
  { member: /(^|\/)saved_model\.pb$/, what: 'a TensorFlow SavedModel; export ONNX (tf2onnx), Keras or TF.js' },
];

/** @throws LatheError `unsupported-format` that says what the archive is. */
export function refuseOtherArchives(paths: readonly string[]): void {
  const other = ARCHIVES.find(({ member }) => paths.some((path) => member.test(path)));
  if (other) throw new LatheError('unsupported-format', `The archive is ${other.what}`);
}

const isText = (bytes: Uint8Array): boolean =>
  bytes.every((byte) => (byte >= 32 && byte < 127) || byte === 9 || byte === 10 || byte === 13);
