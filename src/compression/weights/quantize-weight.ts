/** Quantizing a constant weight: per tensor, per channel, or in blocks along an axis. */
import { eachNeighbour, MAX_PAIR_SUM, pairMagnitude, type SumOrder } from '../graph/saturation.ts';
import { elementAt } from '../ir/checked-access.ts';
import { allocate, elementCount, fromHost, toHost } from '../ir/tensor-data.ts';
import type { Tensor } from '../ir/types.ts';
import {
  affineOf,
  dequantizeValue,
  quantizeValue,
  RANGES,
  symmetricAffine,
  type Affine,
  type IntegerRange,
} from './affine.ts';

export interface WeightScheme {
  readonly type: 'int8' | 'uint8' | 'int4';
  readonly symmetric: boolean;
  /** Axis with a scale per index; null for a single scale. */
  readonly channelAxis: number | null;
  /** Blocks of this length along `blockAxis` have their own scales. */
  readonly block?: { readonly axis: number; readonly size: number };
  /** 7 bits instead of 8. */
  readonly reduceRange?: boolean;
  /**
   * int8: the orders in which the weight's products are summed; limits the codes so that no sum saturates in 16 bits.
   * Not with blocks.
   */
  readonly sums?: readonly SumOrder[];
  /** Lower bounds of the scales per channel. */
  readonly minScale?: (channel: number) => number;
}

export interface QuantizedWeight {
  /** Row-major codes in the weight's shape. */
  readonly codes: Int8Array | Uint8Array;
  readonly affines: readonly Affine[];
  /** The weight's shape with every axis 1 except those that scales vary along. */
  readonly scaleDims: readonly number[];
}

/**
 * Takes scales from the largest magnitude (symmetric) or the extremes of each group. `scaleDims` broadcasts against the
 * weight, except in blocks, where the block axis counts blocks.
 */
export function quantizeWeight(tensor: Tensor, scheme: WeightScheme): QuantizedWeight {
  const { dims } = tensor;
  const values = toHost(tensor).data as Float32Array;
  const range = rangeOf(scheme);
  const scaleDims = dims.map((size, axis) =>
    scheme.block?.axis === axis ? Math.ceil(size / scheme.block.size) : scheme.channelAxis === axis ? size : 1,
  );
  const groupOf = grouping(dims, scaleDims, scheme);
  const groups = elementCount(scaleDims);
  const low = new Float64Array(groups);
  const high = new Float64Array(groups);
  forEachGroup(values.length, groupOf, (i, group) => {
    const value = values[i]!;
    if (value < low[group]!) low[group] = value;
    if (value > high[group]!) high[group] = value;
  });
  const pairs = greatestPairs(tensor, scheme, groups);
  const affines = Array.from({ length: groups }, (_, group) =>
    affineFor({ low: low[group]!, high: high[group]! }, scheme, range, { group, pair: pairs[group]! }),
  );
  const codes = allocate(scheme.type, values.length) as Int8Array | Uint8Array;
  forEachGroup(values.length, groupOf, (i, group) => {
    codes[i] = quantizeValue(values[i]!, affines[group]!, range);
  });
  limitPairs(codes, tensor, scheme, affines);
  return { codes, affines, scaleDims };
}

/** Dequantizes the weight's codes as a runtime does, to the weight's own type and shape. */
export function roundedWeight(tensor: Tensor, scheme: WeightScheme): Tensor {
  const { codes, affines, scaleDims } = quantizeWeight(tensor, scheme);
  const data = new Float64Array(codes.length);
  forEachGroup(codes.length, grouping(tensor.dims, scaleDims, scheme), (i, group) => {
    data[i] = dequantizeValue(codes[i]!, affines[group]!);
  });
  return { ...tensor, bytes: fromHost(tensor.name, { ...toHost(tensor), data }).bytes };
}

/** Largest magnitude of two neighbours (`pairMagnitude`) in each group; zeros if pairs do not bound the scale. */
function greatestPairs({ dims, ...tensor }: Tensor, scheme: WeightScheme, groups: number): Float64Array {
  const greatest = new Float64Array(groups);
  if (!scheme.symmetric) return greatest; // narrows the range instead: codes are not around zero
  const values = toHost({ dims, ...tensor }).data as Float32Array;
  const groupAt = channelAt(dims, scheme.channelAxis);
  for (const order of scheme.sums ?? []) {
    eachNeighbour(dims, order, (first, second) => {
      const group = groupAt(first);
      greatest[group] = Math.max(greatest[group]!, pairMagnitude(values[first]!, values[second]!));
    });
  }
  return greatest;
}

/**
 * Rounding can move a pair one code beyond the limit: moves the code that was rounded furthest away from zero back by
 * one.
 */
function limitPairs(
  codes: Int8Array | Uint8Array,
  tensor: Tensor,
  { sums = [], channelAxis }: WeightScheme,
  affines: readonly Affine[],
): void {
  const values = toHost(tensor).data as Float32Array;
  const groupAt = channelAt(tensor.dims, channelAxis);
  const excess = (offset: number) =>
    Math.abs(codes[offset]!) - Math.abs(values[offset]!) / affines[groupAt(offset)]!.scale;
  for (const order of sums) {
    eachNeighbour(tensor.dims, order, (first, second) => {
      while (pairMagnitude(codes[first]!, codes[second]!) > MAX_PAIR_SUM) {
        const larger = excess(first) > excess(second) ? first : second;
        codes[larger]! -= Math.sign(codes[larger]!);
      }
    });
  }
}

/** The channel of an element's offset; 0 for a single scale. */
function channelAt(dims: readonly number[], axis: number | null): (offset: number) => number {
  if (axis === null) return () => 0;
  const stride = elementCount(dims.slice(axis + 1));
  const size = elementAt(dims, axis, 'axis');
  return (offset) => Math.floor(offset / stride) % size;
}

function rangeOf({ type, reduceRange, symmetric, sums = [] }: WeightScheme): IntegerRange {
  const { low, high } = RANGES[type];
  const limited =
    reduceRange || (sums.length > 0 && !symmetric)
      ? { low: Math.ceil(low / 2), high: Math.floor(high / 2) }
      : { low, high };
  return symmetric && type !== 'uint8' ? { low: -limited.high, high: limited.high } : limited;
}

function affineFor(
  { low, high }: { low: number; high: number },
  scheme: WeightScheme,
  range: IntegerRange,
  { group, pair }: { group: number; pair: number },
): Affine {
  const affine = scheme.symmetric ? symmetricAffine(Math.max(-low, high), range) : affineOf({ low, high }, range);
  const lowerBound = Math.max(scheme.minScale?.(group) ?? 0, pair / MAX_PAIR_SUM);
  return affine.scale >= lowerBound ? affine : { ...affine, scale: Math.fround(lowerBound) };
}

/** Strides that turn an element's coordinates into its group: 0 along axes that share scales. */
function grouping(
  dims: readonly number[],
  scaleDims: readonly number[],
  { block }: WeightScheme,
): { dims: readonly number[]; strides: readonly number[]; block: { axis: number; size: number } | null } {
  const strides = scaleDims.map((size, axis) => (size === 1 ? 0 : elementCount(scaleDims.slice(axis + 1))));
  return { dims, strides, block: block ?? null };
}

function forEachGroup(
  count: number,
  { dims, strides, block }: ReturnType<typeof grouping>,
  visit: (element: number, group: number) => void,
): void {
  const last = dims.length - 1;
  const run = dims[last] ?? 1;
  const index = dims.map(() => 0);
  for (let start = 0; start < count; start += run) {
    let base = 0;
    for (let axis = 0; axis < last; axis++)
      base += strides[axis]! * (block?.axis === axis ? Math.floor(index[axis]! / block.size) : index[axis]!);
    const stride = strides[last] ?? 0;
    const blockSize = block?.axis === last ? block.size : 1;
    for (let i = 0; i < run; i++) visit(start + i, stride === 0 ? base : base + stride * Math.floor(i / blockSize));
    for (let axis = last - 1; axis >= 0; axis--) {
      if (++index[axis]! < dims[axis]!) break;
      index[axis] = 0;
    }
  }
}
