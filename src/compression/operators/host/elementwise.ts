/** Functions of one, two or more elements, with broadcasting; every result is rounded once into its type. */
import { GraphError } from '../../ir/graph-error.ts';
import { allocate, elementCount } from '../../ir/tensor-data.ts';
import type { DataType } from '../../ir/types.ts';
import type { HostTensor } from '../../ir/host-tensor.ts';
import { rounder } from './data.ts';
import { broadcastDims, broadcastStrides, sameDims, viewOffsets } from './offsets.ts';

/** An element as the host holds it. */
export type Scalar = number | bigint | string;

/** A function of one element: of numbers, and of bigints where 64-bit integers are allowed. */
export interface Unary {
  readonly number?: (x: number) => number;
  readonly big?: (x: bigint) => bigint;
}

/** A function of two elements. `int32`: for types whose product may exceed 2^53. */
export interface Binary {
  readonly number?: (a: number, b: number) => number;
  readonly int32?: (a: number, b: number) => number;
  readonly big?: (a: bigint, b: bigint) => bigint;
}

/** Result elements of the operand's own type. */
export function map(x: HostTensor, { number, big }: Unary): HostTensor {
  const { dtype, dims } = x;
  const out = allocate(dtype, elementCount(dims));
  if (out instanceof BigInt64Array || out instanceof BigUint64Array) {
    const data = x.data as BigInt64Array | BigUint64Array;
    const f = big ?? refuse(dtype);
    for (let i = 0; i < out.length; i++) out[i] = f(data[i]!);
    return { dtype, dims, data: out };
  }
  const data = x.data as ArrayLike<number>;
  const f = rounded(number ?? refuse(dtype), dtype);
  for (let i = 0; i < out.length; i++) out[i] = f(data[i]!);
  return { dtype, dims, data: out };
}

/** A function of the elements as they are (numbers, bigints or strings) into a type held as numbers. */
export function mapTo<T extends Scalar>(x: HostTensor, dtype: DataType, f: (x: T) => number): HostTensor {
  const out = allocate(dtype, elementCount(x.dims));
  const data = x.data as ArrayLike<unknown> as ArrayLike<T>;
  const apply = rounded(f, dtype);
  for (let i = 0; i < out.length; i++) out[i] = apply(data[i]!);
  return { dtype, dims: x.dims, data: out };
}

/** Result elements of the operands' own type, or of `dtype` where the second operand's may differ. */
export function zip(a: HostTensor, b: HostTensor, f: Binary, dtype: DataType = a.dtype): HostTensor {
  const { dims, left, right } = align(a, b);
  const out = allocate(dtype, elementCount(dims));
  if (out instanceof BigInt64Array || out instanceof BigUint64Array)
    combine(out, f.big ?? refuse(dtype), a, b, left, right);
  else combine(out, roundedBinary(f, dtype), a, b, left, right);
  return { dtype, dims, data: out };
}

function combine<T>(
  out: { [i: number]: T; readonly length: number },
  f: (x: T, y: T) => T,
  a: HostTensor,
  b: HostTensor,
  left: Offsets,
  right: Offsets,
): void {
  const [x, y] = [a.data as ArrayLike<unknown> as ArrayLike<T>, b.data as ArrayLike<unknown> as ArrayLike<T>];
  for (let i = 0; i < out.length; i++) out[i] = f(x[left ? left[i]! : i]!, y[right ? right[i]! : i]!);
}

function roundedBinary(f: Binary, dtype: DataType): (x: number, y: number) => number {
  const plain = ((dtype === 'int32' || dtype === 'uint32') && f.int32) || f.number || refuse(dtype);
  const round = rounder(dtype);
  return round ? (x, y) => round(plain(x, y)) : plain;
}

/** A relation of two elements of one type (numbers, bigints or strings): bool. */
export function compare<T extends Scalar>(a: HostTensor, b: HostTensor, relation: (x: T, y: T) => boolean): HostTensor {
  const { dims, left, right } = align(a, b);
  const out = new Uint8Array(elementCount(dims));
  const [x, y] = [a.data as ArrayLike<unknown> as ArrayLike<T>, b.data as ArrayLike<unknown> as ArrayLike<T>];
  for (let i = 0; i < out.length; i++) out[i] = relation(x[left ? left[i]! : i]!, y[right ? right[i]! : i]!) ? 1 : 0;
  return { dtype: 'bool', dims, data: out };
}

/** Offsets of an operand's elements; null where they run along with the result's. */
type Offsets = Int32Array | null;

function align(
  a: HostTensor,
  b: HostTensor,
): { readonly dims: readonly number[]; readonly left: Offsets; readonly right: Offsets } {
  const dims = broadcastDims(a.dims, b.dims);
  return { dims, left: offsetsInto(a.dims, dims), right: offsetsInto(b.dims, dims) };
}

/** Offsets that repeat a tensor of shape `from` to shape `to`; null where nothing is repeated. */
export function offsetsInto(from: readonly number[], to: readonly number[]): Int32Array | null {
  return sameDims(from, to) ? null : viewOffsets(to, broadcastStrides(from, to));
}

function rounded<T>(f: (x: T) => number, dtype: DataType): (x: T) => number {
  const round = rounder(dtype);
  return round ? (x) => round(f(x)) : f;
}

function refuse(dtype: DataType): never {
  throw new GraphError(`operands of type ${dtype} are not allowed here`);
}
