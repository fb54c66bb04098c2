/**
 * Decoded arrays that may be larger than memory: small ones stay in it, larger ones go to an unlinked temporary file
 * (nothing is left behind however the process ends) and are read row by row from there.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LatheError } from '../../errors.ts';
import type { HostArray } from './dataset.ts';

export type ArrayDtype = HostArray['dtype'];
export type ArrayData = HostArray['data'];

export const ITEM_BYTES: Record<ArrayDtype, number> = { float32: 4, int32: 4, uint8: 1, int64: 8, bool: 1 };
const DEFAULT_MEMORY_BYTES = 64 * 2 ** 20;

export function allocate(dtype: ArrayDtype, length: number): ArrayData {
  const make: Record<ArrayDtype, () => ArrayData> = {
    float32: () => new Float32Array(length),
    int32: () => new Int32Array(length),
    uint8: () => new Uint8Array(length),
    int64: () => new BigInt64Array(length),
    bool: () => new Uint8Array(length),
  };
  return make[dtype]();
}

export const elementCount = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Rows of equal shape, read by index. `shape` includes the sample axis. */
export interface StoredArray {
  readonly dtype: ArrayDtype;
  readonly shape: readonly number[];
  rows(indices: readonly number[] | Int32Array): HostArray;
  close(): void;
}

/** Takes an array of known type and shape in row-major order, piece by piece. */
export interface ArrayWriter {
  write(values: ArrayData): void;
  /** `malformed-dataset` where not all elements came. */
  finish(): StoredArray;
  abort(): void;
}

const bytesOf = (data: ArrayData): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** `name` is used in errors. Memory for arrays up to 64 MiB (`memoryBytes`), a file for others. */
export function createArray(
  name: string,
  dtype: ArrayDtype,
  shape: readonly number[],
  memoryBytes = DEFAULT_MEMORY_BYTES,
): ArrayWriter {
  const total = elementCount(shape) * ITEM_BYTES[dtype];
  const target = total <= memoryBytes ? memoryTarget(dtype, elementCount(shape)) : fileTarget();
  let written = 0;
  const mismatch = (bytes: string) =>
    new LatheError(
      'malformed-dataset',
      `"${name}" holds ${bytes} bytes of data; shape [${shape.join(', ')}] takes ${total}`,
    );
  return {
    write(values) {
      const bytes = bytesOf(values);
      if (written + bytes.length > total) throw mismatch(`more than ${total}`);
      target.write(bytes, written);
      written += bytes.length;
    },
    finish() {
      if (written !== total) throw mismatch(String(written));
      return storedArray(dtype, shape, target);
    },
    abort: target.close,
  };
}

/** An array that is in memory already. */
export function arrayFrom(dtype: ArrayDtype, shape: readonly number[], data: ArrayData): StoredArray {
  const bytes = bytesOf(data);
  return storedArray(dtype, shape, {
    write() {},
    read: (into, at) => into.set(bytes.subarray(at, at + into.length)),
    close() {},
  });
}

interface Target {
  write(bytes: Uint8Array, at: number): void;
  read(into: Uint8Array, at: number): void;
  close(): void;
}

function memoryTarget(dtype: ArrayDtype, length: number): Target {
  const bytes = bytesOf(allocate(dtype, length));
  return {
    write: (piece, at) => bytes.set(piece, at),
    read: (into, at) => into.set(bytes.subarray(at, at + into.length)),
    close() {},
  };
}

function fileTarget(): Target {
  const path = join(tmpdir(), `lathe-${randomUUID()}.array`);
  const file = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  let open = true;
  return {
    write(piece, at) {
      for (let done = 0; done < piece.length; ) done += writeSync(file, piece, done, piece.length - done, at + done);
    },
    read(into, at) {
      for (let done = 0; done < into.length; ) {
        const count = readSync(file, into, done, into.length - done, at + done);
        if (count === 0) throw new Error('the temporary array file ended early');
        done += count;
      }
    },
    close() {
      if (open) closeSync(file);
      open = false;
    },
  };
}

function storedArray(dtype: ArrayDtype, shape: readonly number[], target: Target): StoredArray {
  const rowElements = elementCount(shape.slice(1));
  const rowBytes = rowElements * ITEM_BYTES[dtype];
  return {
    dtype,
    shape,
    close: target.close,
    rows(indices) {
      const data = allocate(dtype, indices.length * rowElements);
      const bytes = bytesOf(data);
      for (let i = 0; i < indices.length; ) {
        let run = 1; // reads consecutive rows at once
        while (i + run < indices.length && indices[i + run] === indices[i]! + run) run++;
        target.read(bytes.subarray(i * rowBytes, (i + run) * rowBytes), indices[i]! * rowBytes);
        i += run;
      }
      return { dtype, shape: [indices.length, ...shape.slice(1)], data };
    },
  };
}

/** `count` rows, each the value of an array without axes. */
export function repeatedScalar(scalar: StoredArray, count: number): StoredArray {
  const value = scalar.rows([0]).data[0]!;
  return {
    dtype: scalar.dtype,
    shape: [count],
    close: scalar.close,
    rows(indices) {
      const data = allocate(scalar.dtype, indices.length);
      for (let i = 0; i < data.length; i++) data[i] = value;
      return { dtype: scalar.dtype, shape: [indices.length], data };
    },
  };
}
