/** Functions of one, two or more elements, with broadcasting; every result is rounded once into its type. */
import { GraphError } from '../../graph/graph-error.ts';
import { allocate, elementCount } from '../../graph/tensor-data.ts';
import type { DataType } from '../../graph/types.ts';
import type { HostTensor } from '../operator.ts';
import { rounder } from './data.ts';
import { broadcastDims, broadcastStrides, sameDims, viewOffsets } from './offsets.ts';

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
    const data = x.data as BigInt64Array;
    const f = big ?? refuse(dtype);
    for (let i = 0; i < out.length; i++) out[i] = f(data[i]!);
    return { dtype, dims, data: out };
  }
  const data = x.data as Float64Array;
  const f = rounded(number ?? refuse(dtype), dtype);
  for (let i = 0; i < out.length; i++) out[i] = f(data[i]!);
  return { dtype, dims, data: out };
}

/** A function of the elements as they are (numbers, bigints or strings) into a type held as numbers. */
export function mapTo(x: HostTensor, dtype: DataType, f: (x: never) => number): HostTensor {
  const out = allocate(dtype, elementCount(x.dims));
  const data = x.data as ArrayLike<never>;
  const apply = rounded(f, dtype);
  for (let i = 0; i < out.length; i++) out[i] = apply(data[i]!);
  return { dtype, dims: x.dims, data: out };
}

/** Result elements of the operands' own type, or of `dtype` where the second operand's may differ. */
export function zip(a: HostTensor, b: HostTensor, f: Binary, dtype: DataType = a.dtype): HostTensor {
  const { dims, left, right } = align(a, b);
  const out = allocate(dtype, elementCount(dims));
  if (out instanceof BigInt64Array || out instanceof BigUint64Array) {
    const apply = f.big ?? refuse(dtype);
    const [x, y] = [a.data as BigInt64Array, b.data as BigInt64Array];
    for (let i = 0; i < out.length; i++) out[i] = apply(x[left ? left[i]! : i]!, y[right ? right[i]! : i]!);
    return { dtype, dims, data: out };
  }
  const wide = dtype === 'int32' || dtype === 'uint32' ? (f.int32 ?? f.number) : f.number;
  const apply = wide ?? refuse(dtype);
  const [x, y] = [a.data as Float64Array, b.data as Float64Array];
  for (let i = 0; i < out.length; i++) out[i] = apply(x[left ? left[i]! : i]!, y[right ? right[i]! : i]!);
  return settle(dtype, dims, out, !!rounder(dtype), (i) => apply(x[left ? left[i]! : i]!, y[right ? right[i]! : i]!));
}

/** A relation of two elements of one type (numbers, bigints or strings): bool. */
export function compare(a: HostTensor, b: HostTensor, relation: (x: never, y: never) => boolean): HostTensor {
  const { dims, left, right } = align(a, b);
  const out = new Uint8Array(elementCount(dims));
  const [x, y] = [a.data as ArrayLike<never>, b.data as ArrayLike<never>];
  for (let i = 0; i < out.length; i++) out[i] = relation(x[left ? left[i]! : i]!, y[right ? right[i]! : i]!) ? 1 : 0;
  return { dtype: 'bool', dims, data: out };
}

interface Aligned {
  readonly dims: readonly number[];
  /** Offsets of the operands' elements; null where they run along with the result's. */
  readonly left: Int32Array | null;
  readonly right: Int32Array | null;
}

function align(a: HostTensor, b: HostTensor): Aligned {
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

function settle(dtype: DataType, dims: readonly number[], out: Exclude<ReturnType<typeof allocate>, BigInt64Array | BigUint64Array>, narrow: boolean, element: (i: number) => number): HostTensor {
  const round = narrow ? rounder(dtype) : null;
  if (round) for (let i = 0; i < out.length; i++) out[i] = round(element(i));
  return { dtype, dims, data: out };
}

function refuse(dtype: DataType): never {
  throw new GraphError(`operands of type ${dtype} are not allowed here`);
}
