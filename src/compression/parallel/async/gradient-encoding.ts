/**
 * Gradients as bytes: for each tensor its values as float32 or float16, whole, or (of a sparse one) with the gaps between
 * their indices in base 128, least significant group first. Names and sizes are known to both sides and stand in no
 * message: tensors follow in the order of their names.
 */
import { decodeFloat, encodeFloat } from '../../ir/number-formats.ts';
import { entryOf } from '../../ir/checked-access.ts';
import type { Tensors } from './tensors.ts';
import type { SparseTensors, SparseValues } from './top-k.ts';

export type GradientFormat = 'float32' | 'float16';

const BYTES: Record<GradientFormat, number> = { float32: 4, float16: 2 };

/** Values beyond float16's range become its largest: an infinite gradient would end the training. */
export function encodeDense(tensors: Tensors, format: GradientFormat): Uint8Array {
  return concatenated(inOrder(tensors).map(([, values]) => encodeValues(values, format)));
}

/** @param like names and sizes */
export function decodeDense(bytes: Uint8Array, like: Tensors, format: GradientFormat): Tensors {
  let at = 0;
  const decoded = inOrder(like).map(([name, { length }]): [string, Float32Array] => {
    const end = at + length * BYTES[format];
    const values = decodeValues(bytes.subarray(at, end), length, format);
    at = end;
    return [name, values];
  });
  if (at !== bytes.length) throw new RangeError(`A gradient of ${at} bytes came as ${bytes.length}`);
  return reordered(like, new Map(decoded));
}

export function encodeSparse(tensors: SparseTensors, format: GradientFormat): Uint8Array {
  return concatenated(
    inOrder(tensors).flatMap(([, { indices, values }]) => [
      Uint8Array.from(base128(values.length)),
      Uint8Array.from([...indices].flatMap((index, i) => base128(i === 0 ? index : index - indices[i - 1]! - 1))),
      encodeValues(values, format),
    ]),
  );
}

/** @throws RangeError if an index is beyond its tensor or bytes are missing */
export function decodeSparse(bytes: Uint8Array, like: Tensors, format: GradientFormat): SparseTensors {
  const reader = new Base128Reader(bytes);
  const decoded = inOrder(like).map(([name, { length }]): [string, SparseValues] => {
    const indices = new Uint32Array(Math.min(reader.next(), length));
    for (let i = 0; i < indices.length; i++) indices[i] = reader.next() + (i === 0 ? 0 : indices[i - 1]! + 1);
    if ((indices.at(-1) ?? 0) >= Math.max(1, length))
      throw new RangeError(`An index lies beyond "${name}" (${length})`);
    return [
      name,
      { length, indices, values: decodeValues(reader.take(indices.length * BYTES[format]), indices.length, format) },
    ];
  });
  return reordered(like, new Map(decoded));
}

function encodeValues(values: Float32Array, format: GradientFormat): Uint8Array {
  if (format === 'float32') return new Uint8Array(values.slice().buffer);
  return new Uint8Array(Uint16Array.from(values, (value) => encodeFloat(value, 'float16', true)).buffer);
}

function decodeValues(bytes: Uint8Array, length: number, format: GradientFormat): Float32Array {
  if (bytes.length !== length * BYTES[format])
    throw new RangeError(`A gradient ends ${bytes.length} bytes into a tensor`);
  const { buffer } = bytes.slice();
  return format === 'float32'
    ? new Float32Array(buffer)
    : Float32Array.from(new Uint16Array(buffer), (bits) => decodeFloat(bits, 'float16'));
}

function base128(value: number): number[] {
  const groups: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return [...groups, rest];
    groups.push((rest & 127) | 128);
  }
}

class Base128Reader {
  #at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  next(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new RangeError('A sparse gradient ends early');
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw new RangeError('An index of a sparse gradient is too long');
  }

  take(length: number): Uint8Array {
    const part = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return part;
  }
}

function inOrder<T>(tensors: ReadonlyMap<string, T>): [string, T][] {
  return [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
}

function reordered<T>(like: Tensors, decoded: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return new Map([...like.keys()].map((name) => [name, entryOf(decoded, name, 'tensor')]));
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const joined = Buffer.concat(parts);
  return new Uint8Array(joined.buffer, joined.byteOffset, joined.byteLength);
}
