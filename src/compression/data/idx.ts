/**
 * The idx format of MNIST (http://yann.lecun.com/exdb/mnist): a zip of `train-images-idx3-ubyte`,
 * `train-labels-idx1-ubyte` and `t10k-` or `test-` files, under any prefix, each as it is or gzipped. Big-endian: two
 * zero bytes, a type, the number of axes, the sizes.
 */
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { LatheError } from '../../errors.ts';
import { arrayDataset } from './array-dataset.ts';
import {
  allocate,
  createArray,
  elementCount,
  type ArrayData,
  type ArrayDtype,
  type ArrayWriter,
  type StoredArray,
} from './array-store.ts';
import type { Dataset, SplitName } from './dataset.ts';
import { checkBudget, type Zip, type ZipEntry } from './zip.ts';

interface IdxType {
  readonly dtype: ArrayDtype;
  readonly itemBytes: number;
  read(view: DataView, at: number): number;
}
const TYPES: Readonly<Record<number, IdxType>> = {
  0x08: { dtype: 'uint8', itemBytes: 1, read: (view, at) => view.getUint8(at) },
  0x09: { dtype: 'int32', itemBytes: 1, read: (view, at) => view.getInt8(at) },
  0x0b: { dtype: 'int32', itemBytes: 2, read: (view, at) => view.getInt16(at) },
  0x0c: { dtype: 'int32', itemBytes: 4, read: (view, at) => view.getInt32(at) },
  0x0d: { dtype: 'float32', itemBytes: 4, read: (view, at) => view.getFloat32(at) },
  0x0e: { dtype: 'float32', itemBytes: 8, read: (view, at) => view.getFloat64(at) },
};

const bad = (path: string, message: string) =>
  new LatheError('malformed-dataset', `"${path}" in the archive: ${message}`, [{ path, message }]);

export const isIdxName = (path: string): boolean => /(idx\d|ubyte|\.idx)/i.test(path.slice(path.lastIndexOf('/') + 1));

function splitOf(path: string): SplitName {
  const name = path.toLowerCase();
  if (/t10k|test/.test(name)) return 'test';
  return /val(id|_|-|\.)/.test(name) ? 'validation' : 'train';
}

export async function openIdx(zip: Zip): Promise<Dataset> {
  const parts = new Map<SplitName, { inputs: Map<string, StoredArray>; target: StoredArray | null }>();
  const arrays: StoredArray[] = [];
  try {
    for (const entry of zip.entries.filter((candidate) => isIdxName(candidate.path))) {
      const array = await readIdx(zip, entry);
      arrays.push(array);
      const split = splitOf(entry.path);
      const part = parts.get(split) ?? { inputs: new Map<string, StoredArray>(), target: null };
      parts.set(split, part);
      const isLabels = /label/i.test(entry.path) || array.shape.length === 1;
      if (isLabels ? part.target : part.inputs.size > 0)
        throw bad(entry.path, `is a second file of ${isLabels ? 'labels' : 'samples'} for the ${split} split`);
      if (isLabels) part.target = array;
      else part.inputs.set('x', array);
    }
  } catch (error) {
    for (const array of arrays) array.close();
    throw error;
  }
  return arrayDataset('idx', parts, { name: 'labels' });
}

/** Header of an idx file; null: more bytes are needed. */
function parseHeader(bytes: Buffer, path: string): { type: IdxType; shape: number[]; dataOffset: number } | null {
  if (bytes.length < 4) return null;
  const type = TYPES[bytes.readUInt8(2)];
  const axes = bytes.readUInt8(3);
  if (bytes[0] !== 0 || bytes[1] !== 0 || !type || axes === 0) throw bad(path, 'is no idx file');
  if (bytes.length < 4 + 4 * axes) return null;
  const shape = Array.from({ length: axes }, (_, i) => bytes.readUInt32BE(4 + 4 * i));
  if (!Number.isSafeInteger(elementCount(shape) * 8)) throw bad(path, `shape [${shape.join(', ')}] is too large`);
  return { type, shape, dataOffset: 4 + 4 * axes };
}

function decode(bytes: Buffer, type: IdxType): ArrayData {
  const data = allocate(type.dtype, bytes.length / type.itemBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < data.length; i++) data[i] = type.read(view, i * type.itemBytes);
  return data;
}

async function readIdx(zip: Zip, entry: ZipEntry): Promise<StoredArray> {
  let pending: Buffer = Buffer.alloc(0);
  let total = 0;
  let open: { type: IdxType; writer: ArrayWriter } | null = null;
  try {
    for await (const chunk of unpacked(await zip.stream(entry), entry.path)) {
      total += (chunk as Buffer).length;
      checkBudget(total, zip.packedBytes, zip.limits, entry.path);
      pending = pending.length > 0 ? Buffer.concat([pending, chunk as Buffer]) : (chunk as Buffer);
      if (!open) {
        const header = parseHeader(pending, entry.path);
        if (!header) continue;
        checkBudget(elementCount(header.shape) * header.type.itemBytes, zip.packedBytes, zip.limits, entry.path);
        open = { type: header.type, writer: createArray(entry.path, header.type.dtype, header.shape) };
        pending = pending.subarray(header.dataOffset);
      }
      const whole = pending.length - (pending.length % open.type.itemBytes);
      open.writer.write(decode(pending.subarray(0, whole), open.type));
      pending = pending.subarray(whole);
    }
    if (!open) throw bad(entry.path, 'ends within its header');
    if (pending.length > 0) throw bad(entry.path, 'ends within an element');
    return open.writer.finish();
  } catch (error) {
    open?.writer.abort();
    if (error instanceof LatheError) throw error;
    throw bad(entry.path, (error as Error).message);
  }
}

function unpacked(stream: Readable, path: string): Readable {
  if (!path.endsWith('.gz')) return stream;
  const gunzip = createGunzip();
  stream.on('error', (error) => gunzip.destroy(error));
  return stream.pipe(gunzip);
}
