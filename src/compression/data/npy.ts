/**
 * NumPy's .npy format, versions 1 to 3 (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), read
 * as a stream. The header is a Python literal; it is matched, never evaluated. Object arrays are pickles, that is,
 * programs: refused.
 */
import type { Readable } from 'node:stream';
import { LatheError } from '../../errors.ts';
import {
  allocate,
  createArray,
  elementCount,
  type ArrayData,
  type ArrayDtype,
  type StoredArray,
} from './array-store.ts';
import { decodeFloat } from '../ir/number-formats.ts';

export interface NpyHeader {
  /** Kind and item size, as 'f4' or 'u1'. */
  readonly descr: string;
  readonly bigEndian: boolean;
  readonly fortranOrder: boolean;
  readonly shape: readonly number[];
  /** Bytes before the data. */
  readonly dataOffset: number;
}

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');
const MAX_HEADER_BYTES = 65536;

interface Codec {
  readonly dtype: ArrayDtype;
  readonly itemBytes: number;
  read(view: DataView, at: number, little: boolean): number | bigint;
}

const MAX_INT64 = 2n ** 63n;
const CODECS: Readonly<Record<string, Codec>> = {
  b1: { dtype: 'bool', itemBytes: 1, read: (view, at) => (view.getUint8(at) ? 1 : 0) },
  u1: { dtype: 'uint8', itemBytes: 1, read: (view, at) => view.getUint8(at) },
  i1: { dtype: 'int32', itemBytes: 1, read: (view, at) => view.getInt8(at) },
  u2: { dtype: 'int32', itemBytes: 2, read: (view, at, little) => view.getUint16(at, little) },
  i2: { dtype: 'int32', itemBytes: 2, read: (view, at, little) => view.getInt16(at, little) },
  i4: { dtype: 'int32', itemBytes: 4, read: (view, at, little) => view.getInt32(at, little) },
  u4: { dtype: 'int64', itemBytes: 4, read: (view, at, little) => BigInt(view.getUint32(at, little)) },
  i8: { dtype: 'int64', itemBytes: 8, read: (view, at, little) => view.getBigInt64(at, little) },
  u8: { dtype: 'int64', itemBytes: 8, read: (view, at, little) => view.getBigUint64(at, little) },
  f2: {
    dtype: 'float32',
    itemBytes: 2,
    read: (view, at, little) => decodeFloat(view.getUint16(at, little), 'float16'),
  },
  f4: { dtype: 'float32', itemBytes: 4, read: (view, at, little) => view.getFloat32(at, little) },
  f8: { dtype: 'float32', itemBytes: 8, read: (view, at, little) => view.getFloat64(at, little) },
};

const bad = (name: string, message: string) =>
  new LatheError('malformed-dataset', `array "${name}": ${message}`, [{ path: name, message }]);

/** Parses the header out of the file's first bytes; `null`: more bytes are needed. */
export function parseNpyHeader(bytes: Buffer, name: string): NpyHeader | null {
  if (bytes.length < 10) return null;
  if (!bytes.subarray(0, 6).equals(MAGIC)) throw bad(name, 'is no .npy file');
  const major = bytes.readUInt8(6);
  if (major < 1 || major > 3) throw bad(name, `.npy version ${major} is not known`);
  if (major > 1 && bytes.length < 12) return null;
  const length = major === 1 ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8);
  const start = major === 1 ? 10 : 12;
  if (length > MAX_HEADER_BYTES) throw bad(name, `header of ${length} bytes`);
  if (bytes.length < start + length) return null;
  return {
    ...parseDescription(bytes.toString(major === 3 ? 'utf8' : 'latin1', start, start + length), name),
    dataOffset: start + length,
  };
}

function parseDescription(text: string, name: string): Omit<NpyHeader, 'dataOffset'> {
  const descr = /['"]descr['"]\s*:\s*['"]([<>=|]?)([A-Za-z])(\d*)['"]/.exec(text);
  const order = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text);
  const shape = /['"]shape['"]\s*:\s*\(([\d\sL,]*)\)/.exec(text);
  if (!descr)
    throw bad(
      name,
      /['"]descr['"]\s*:\s*\[/.test(text) ? 'structured types are not supported' : 'the header gives no type',
    );
  if (!order || !shape) throw bad(name, 'the header gives no order or shape');
  if (descr[2] === 'O') throw bad(name, 'object arrays are pickles and are refused; save numbers');
  const type = `${descr[2]}${descr[3]}`;
  if (!CODECS[type]) throw bad(name, `type "${type}" is not supported; use bool, integers or floats`);
  const [, sizes = ''] = shape;
  const dims = sizes
    .split(',')
    .map((part) => part.trim().replace(/L$/, ''))
    .filter((part) => part !== '')
    .map(Number);
  if (!dims.every(Number.isSafeInteger) || !Number.isSafeInteger(elementCount(dims) * 8))
    throw bad(name, `shape (${sizes}) is too large`);
  return { descr: type, bigEndian: descr[1] === '>', fortranOrder: order[1] === 'True', shape: dims };
}

interface DecodeOptions {
  readonly header: NpyHeader;
  readonly codec: Codec;
  readonly name: string;
  readonly first: number;
}

/** Decodes whole items; `bytes.length` is a multiple of the item size. */
function decode(bytes: Buffer, { header, codec, name, first }: DecodeOptions): ArrayData {
  const count = bytes.length / codec.itemBytes;
  const data = allocate(codec.dtype, count);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < count; i++) {
    const value = codec.read(view, i * codec.itemBytes, !header.bigEndian);
    if (typeof value === 'number' && !isFloat32(value))
      throw bad(name, `${nameOf(value)} at element ${first + i}${sampleOf(first + i, header)}`);
    if (typeof value === 'bigint' && value >= MAX_INT64)
      throw bad(name, `${value} at element ${first + i} is beyond int64`);
    data[i] = value;
  }
  return data;
}

/** Whether a number is finite, also once rounded to float32. */
const isFloat32 = (value: number): boolean => Number.isFinite(Math.fround(value));

const nameOf = (value: number): string => (Number.isFinite(value) ? `${value}, which is beyond float32,` : `${value}`);

function sampleOf(element: number, header: NpyHeader): string {
  const samples = header.shape[0] ?? 1;
  if (header.shape.length === 0) return '';
  const sample = header.fortranOrder
    ? element % samples
    : Math.floor(element / Math.max(1, elementCount(header.shape.slice(1))));
  return ` (sample ${sample})`;
}

/** Column-major data of `shape` in row-major order. */
function toRowMajor(data: ArrayData, dtype: ArrayDtype, shape: readonly number[]): ArrayData {
  const result = allocate(dtype, data.length);
  const index = shape.map(() => 0); // row-major counter
  const strides = shape.map((_, axis) => elementCount(shape.slice(0, axis)));
  for (let i = 0, from = 0; i < data.length; i++) {
    result[i] = data[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      from += strides[axis]!;
      if (index[axis]! < shape[axis]!) break;
      from -= index[axis]! * strides[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}

/**
 * Reads an array. Types narrow to what the engine computes with: float16 and float64 to float32; int8, int16, uint16 to
 * int32; uint32 and uint64 to int64. Errors: `malformed-dataset` with the array's name.
 */
export async function readNpy(stream: Readable, name: string): Promise<StoredArray> {
  let pending: Buffer = Buffer.alloc(0);
  let header: NpyHeader | null = null;
  let sink: ReturnType<typeof npySink> | null = null;
  try {
    for await (const chunk of stream) {
      pending = pending.length > 0 ? Buffer.concat([pending, chunk as Buffer]) : (chunk as Buffer);
      if (!header) {
        header = parseNpyHeader(pending, name);
        if (!header) continue;
        pending = pending.subarray(header.dataOffset);
      }
      sink ??= npySink(header, name);
      pending = sink.take(pending);
    }
    if (!sink) throw bad(name, 'ends within its header');
    if (pending.length > 0) throw bad(name, 'ends within an element');
    return sink.finish();
  } catch (error) {
    sink?.abort();
    throw error;
  }
}

function npySink(header: NpyHeader, name: string) {
  const codec = CODECS[header.descr]!;
  // A Fortran array has its first sample complete only at its end: it is gathered in memory.
  const transposed = header.fortranOrder && header.shape.length > 1;
  const writer = createArray(name, codec.dtype, header.shape);
  let gathered: ArrayData[] = [];
  let elements = 0;
  return {
    take(bytes: Buffer): Buffer {
      const whole = bytes.length - (bytes.length % codec.itemBytes);
      const data = decode(bytes.subarray(0, whole), { header, codec, name, first: elements });
      elements += data.length;
      if (elements > elementCount(header.shape))
        throw bad(name, `holds more than the ${elementCount(header.shape)} elements of its shape`);
      if (transposed) gathered.push(data);
      else writer.write(data);
      return bytes.subarray(whole);
    },
    finish(): StoredArray {
      if (transposed) {
        if (elements !== elementCount(header.shape))
          throw bad(
            name,
            `holds ${elements} elements; its shape [${header.shape.join(', ')}] takes ${elementCount(header.shape)}`,
          );
        writer.write(toRowMajor(concat(gathered, codec.dtype, elements), codec.dtype, header.shape));
        gathered = [];
      }
      return writer.finish();
    },
    abort: () => writer.abort(),
  };
}

function concat(parts: readonly ArrayData[], dtype: ArrayDtype, length: number): ArrayData {
  const whole = allocate(dtype, length);
  let at = 0;
  for (const part of parts) {
    (whole as Float32Array).set(part as Float32Array, at); // all parts have the one dtype
    at += part.length;
  }
  return whole;
}
