/** Reads the graph of any supported model file; the bytes decide its format, never the name. */
import { LatheError } from '../../errors.ts';
import type { ModelFormat } from '../../contracts/model.ts';
import type { Model } from '../ir/types.ts';
import { validateModel } from '../ir/validate.ts';
import { isGzip, isZip, unpackGzip, unpackZip } from './archive.ts';
import { HDF5_MAGIC } from './keras/hdf5-magic.ts';
import { readKerasArchive, readKerasH5 } from './keras/read.ts';
import { readOnnx } from './onnx/read.ts';
import { refuseOtherArchives, refuseOtherFormats } from './other-formats.ts';
import { readTfjs } from './tfjs/read.ts';

export interface ReadModel {
  readonly format: ModelFormat;
  readonly model: Model;
}

/** Archives inside archives that are opened before giving up. */
const MAX_WRAPPERS = 2;

/** An upload without its wrappers, recognized by its bytes; TF.js archives of either kind are `tfjs`. */
export type OpenedUpload =
  | { readonly kind: 'onnx' | 'keras-h5'; readonly bytes: Uint8Array }
  | { readonly kind: 'keras' | 'tfjs'; readonly members: ReadonlyMap<string, Uint8Array> };

/**
 * Reads ONNX, Keras HDF5, `.keras`, or a TF.js model (zip of model.json and its shards); also packed with gzip or zip.
 * @throws LatheError `unsupported-format`, `malformed-model`, `unsupported-operator`, `too-large`.
 */
export async function readModel(bytes: Uint8Array): Promise<ReadModel> {
  const opened = await openUpload(bytes);
  switch (opened.kind) {
    case 'keras-h5':
      return { format: 'keras-h5', model: await readKerasH5(opened.bytes) };
    case 'keras':
      return { format: 'keras', model: await readKerasArchive(opened.members) };
    case 'tfjs':
      return readTfjs(opened.members);
    case 'onnx': {
      const model = readOnnx(opened.bytes);
      validateModel(model);
      return { format: 'onnx', model };
    }
  }
}

/** Whether a file's first bytes show no wrapper and no other format: it is ONNX or unreadable. */
export function isBareOnnx(start: Uint8Array): boolean {
  return !HDF5_MAGIC.every((byte, i) => start[i] === byte) && !isGzip(start) && !isZip(start);
}

/** @throws LatheError `unsupported-format`, `malformed-model`, `too-large`. */
export async function openUpload(bytes: Uint8Array, wrappers = 0): Promise<OpenedUpload> {
  if (bytes.length === 0) throw new LatheError('malformed-model', 'The file is empty');
  if (HDF5_MAGIC.every((byte, i) => bytes[i] === byte)) return { kind: 'keras-h5', bytes };
  if (isGzip(bytes) || isZip(bytes)) {
    if (wrappers === MAX_WRAPPERS)
      throw new LatheError('unsupported-format', `The model is nested in more than ${MAX_WRAPPERS} archives`);
    return isGzip(bytes)
      ? openUpload(await unpackGzip(bytes), wrappers + 1)
      : openArchive(await unpackZip(bytes), wrappers);
  }
  refuseOtherFormats(bytes);
  return { kind: 'onnx', bytes };
}

async function openArchive(members: ReadonlyMap<string, Uint8Array>, wrappers: number): Promise<OpenedUpload> {
  const root = folderOf(members, 'config.json');
  if (root !== null && members.has(`${root}model.weights.h5`)) return { kind: 'keras', members: under(members, root) };
  const tfjs = tfjsMembers(members);
  if (tfjs) return { kind: 'tfjs', members: tfjs };
  const files = [...members].filter(([path]) => !path.startsWith('__MACOSX/') && !/(^|\/)\.[^/]*$/.test(path));
  refuseOtherArchives(files.map(([path]) => path));
  const [file, ...others] = files;
  if (file && others.length === 0) return openUpload(file[1], wrappers + 1);
  const listed = files
    .slice(0, 5)
    .map(([path]) => `"${path}"`)
    .join(', ');
  throw new LatheError(
    'unsupported-format',
    'The archive is neither a .keras file (config.json, model.weights.h5), nor a TF.js model (model.json), ' +
      `nor one model file: it holds ${listed || 'nothing'}`,
  );
}

/** A TF.js model is called model.json, or otherwise where it is the only JSON file with a manifest of weights. */
function tfjsMembers(members: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, Uint8Array> | null {
  const folder = folderOf(members, 'model.json');
  if (folder !== null) return under(members, folder);
  const candidates = [...members].filter(
    ([path, content]) =>
      path.endsWith('.json') &&
      !path.startsWith('__MACOSX/') &&
      Buffer.from(content.buffer, content.byteOffset, content.length).includes('"weightsManifest"'),
  );
  const [candidate, ...others] = candidates;
  if (!candidate || others.length > 0) return null;
  const [path, content] = candidate;
  return under(members, path.slice(0, path.lastIndexOf('/') + 1)).set('model.json', content);
}

/** The folder (with its slash, '' for the top) of the shallowest member called `name`; null: there is none. */
function folderOf(members: ReadonlyMap<string, Uint8Array>, name: string): string | null {
  const found = [...members.keys()]
    .filter((path) => path === name || path.endsWith(`/${name}`))
    .sort((a, z) => a.length - z.length)[0];
  return found === undefined ? null : found.slice(0, found.length - name.length);
}

function under(members: ReadonlyMap<string, Uint8Array>, folder: string): Map<string, Uint8Array> {
  return new Map(
    [...members]
      .filter(([path]) => path.startsWith(folder))
      .map(([path, content]) => [path.slice(folder.length), content]),
  );
}
