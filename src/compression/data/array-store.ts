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
import type { ArrayHandle } from './handles.ts';

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
  /** For other threads; they open it with `openArray`. */
  share(): ArrayHandle;
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
  const target = total <= memoryBytes ? memoryTarget(new Uint8Array(new SharedArrayBuffer(total))) : fileTarget();
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
  return storedArray(dtype, shape, memoryTarget(bytes));
}

/** An array that another thread shared. Closing it leaves the original open. */
export function openArray(handle: ArrayHandle): StoredArray {
  switch (handle.kind) {
    case 'memory':
      return storedArray(handle.dtype, handle.shape, memoryTarget(new Uint8Array(handle.bytes)));
    case 'file':
      return storedArray(handle.dtype, handle.shape, { ...openFile(handle.file, handle.at), close() {} });
    case 'repeated':
      return repeatedScalar(openArray(handle.scalar), handle.count);
  }
}

/** Where an array's bytes lie. */
interface Target {
  write(bytes: Uint8Array, at: number): void;
  read(into: Uint8Array, at: number): void;
  place(): { readonly kind: 'memory'; bytes: SharedArrayBuffer } | { readonly kind: 'file'; file: number; at: number };
  close(): void;
}

function memoryTarget(given: Uint8Array): Target {
  let bytes = given;
  return {
    write: (piece, at) => bytes.set(piece, at),
    read: (into, at) => into.set(bytes.subarray(at, at + into.length)),
    place() {
      const { buffer } = bytes;
      if (buffer instanceof SharedArrayBuffer && buffer.byteLength === bytes.length)
        return { kind: 'memory', bytes: buffer };
      const shared = new SharedArrayBuffer(bytes.length);
      const copy = new Uint8Array(shared);
      copy.set(bytes);
      bytes = copy;
      return { kind: 'memory', bytes: shared };
    },
    close() {},
  };
}

function fileTarget(): Target {
  const file = openTemporaryFile();
  let open = true;
  return {
    ...openFile(file, 0),
    close() {
      if (open) closeSync(file);
      open = false;
    },
  };
}

/** A descriptor of a file that has no name any more: nothing is left behind however the process ends. */
export function openTemporaryFile(): number {
  const path = join(tmpdir(), `lathe-${randomUUID()}.array`);
  const file = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  return file;
}

/** @param start where the array begins */
function openFile(file: number, start: number): Omit<Target, 'close'> {
  return {
    write: (piece, at) => writeAt(file, piece, start + at),
    read: (into, at) => readAt(file, into, start + at),
    place: () => ({ kind: 'file', file, at: start }),
  };
}

export function writeAt(file: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done, at + done);
}

/** Fills `into`. @throws Error where the file ends before */
export function readAt(file: number, into: Uint8Array, at: number): void {
  for (let done = 0; done < into.length; ) {
    const count = readSync(file, into, done, into.length - done, at + done);
    if (count === 0) throw new Error(`the file ended ${into.length - done} bytes early`);
    done += count;
  }
}

function storedArray(dtype: ArrayDtype, shape: readonly number[], target: Target): StoredArray {
  const rowElements = elementCount(shape.slice(1));
  const rowBytes = rowElements * ITEM_BYTES[dtype];
  return {
    dtype,
    shape,
    close: target.close,
    share: () => ({ dtype, shape, ...target.place() }),
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
    share: () => ({ kind: 'repeated', scalar: scalar.share(), count }),
    rows(indices) {
      const data = allocate(scalar.dtype, indices.length);
      for (let i = 0; i < data.length; i++) data[i] = value;
      return { dtype: scalar.dtype, shape: [indices.length], data };
    },
  };
}

const ROWS_PER_CHUNK = 4096;

/** All rows of an array, some thousands at a time; `start`: the first one's index. */
export function* chunksOf(array: StoredArray): Generator<{ readonly start: number; readonly rows: HostArray }> {
  const [count = 0] = array.shape;
  for (let start = 0; start < count; start += ROWS_PER_CHUNK) {
    const size = Math.min(ROWS_PER_CHUNK, count - start);
    yield { start, rows: array.rows(Int32Array.from({ length: size }, (_, i) => start + i)) };
  }
}
