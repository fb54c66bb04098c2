/** Folding axes away on the host. */
import { GraphError } from '../../ir/graph-error.ts';
import { elementCount } from '../../ir/tensor-data.ts';
import type { DataType } from '../../ir/types.ts';
import type { HostData, HostTensor } from '../../ir/host-tensor.ts';
import { stridesOf } from '../shapes.ts';
import { allocate } from '../../ir/tensor-data.ts';
import { viewOffsets } from './offsets.ts';
import { rounder } from './data.ts';

export interface Lanes {
  /** Offset of each result's first element. */
  readonly starts: Int32Array;
  /** Offsets of the elements of one result, from its first. */
  readonly steps: Int32Array;
  /** Shape of the result, with and without the reduced axes as ones. */
  readonly kept: readonly number[];
  readonly dropped: readonly number[];
}

/** Which elements belong to which result when `axes` are reduced. */
export function lanes(dims: readonly number[], axes: readonly number[]): Lanes {
  const strides = stridesOf(dims);
  const rest = dims.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const sorted = [...axes].sort((a, b) => a - b);
  const at = (list: readonly number[], of: readonly number[]): number[] => list.map((axis) => of[axis]!);
  return {
    starts: viewOffsets(at(rest, dims), at(rest, strides)),
    steps: viewOffsets(at(sorted, dims), at(sorted, strides)),
    kept: dims.map((size, axis) => (axes.includes(axis) ? 1 : size)),
    dropped: at(rest, dims),
  };
}

/** A fold of one lane: numbers where the type is held so, bigints for 64-bit integers. */
export interface Fold {
  number(data: ArrayLike<number>, start: number, steps: Int32Array): number;
  big?(data: ArrayLike<bigint>, start: number, steps: Int32Array): bigint;
}

export function reduce(
  x: HostTensor,
  axes: readonly number[],
  keepDims: boolean,
  fold: Fold,
  dtype: DataType = x.dtype,
): HostTensor {
  const { starts, steps, kept, dropped } = lanes(x.dims, axes);
  const dims = keepDims ? kept : dropped;
  const out = allocate(dtype, elementCount(dims));
  if (out instanceof BigInt64Array || out instanceof BigUint64Array)
    foldBigs(out, { source: x.data, starts, steps, fold });
  else {
    const round = rounder(dtype) ?? ((value: number) => value);
    const data = x.data as ArrayLike<number>;
    for (let i = 0; i < out.length; i++) out[i] = round(fold.number(data, starts[i]!, steps));
  }
  return { dtype, dims, data: out };
}

interface BigFold {
  readonly source: HostData;
  readonly starts: Int32Array;
  readonly steps: Int32Array;
  readonly fold: Fold;
}

function foldBigs(out: BigInt64Array | BigUint64Array, { source, starts, steps, fold }: BigFold): void {
  const data = source as BigInt64Array | BigUint64Array;
  if (fold.big) for (let i = 0; i < out.length; i++) out[i] = fold.big(data, starts[i]!, steps);
  else {
    const numbers = Float64Array.from(data as ArrayLike<bigint>, Number);
    for (let i = 0; i < out.length; i++) {
      const value = Math.trunc(fold.number(numbers, starts[i]!, steps));
      if (!Number.isFinite(value)) throw new GraphError('a reduction over no elements has no integer result');
      out[i] = BigInt(value);
    }
  }
}
