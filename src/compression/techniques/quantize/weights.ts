/** Quantizing a constant weight: per tensor, per channel, or in blocks along an axis. */
import { allocate, elementCount, toHost } from '../../graph/tensor-data.ts';
import type { Tensor } from '../../graph/types.ts';
import { affineOf, quantizeValue, RANGES, symmetricAffine, type Affine, type IntegerRange } from './scheme.ts';

export interface WeightScheme {
  readonly type: 'int8' | 'uint8' | 'int4';
  readonly symmetric: boolean;
  /** Axis whose every index has its own scale; null: one scale. */
  readonly channelAxis: number | null;
  /** Blocks of this length along `blockAxis` have scales of their own. */
  readonly block?: { readonly axis: number; readonly size: number };
  /** 7 bits instead of 8. */
  readonly reduceRange?: boolean;
  /** Lower bounds of the scales per channel. */
  readonly leastScale?: (channel: number) => number;
}

export interface QuantizedWeight {
  /** Row-major codes in the weight's shape. */
  readonly codes: Int8Array | Uint8Array;
  readonly affines: readonly Affine[];
  /** The weight's shape with every axis 1 except those that scales vary along. */
  readonly scaleDims: readonly number[];
}

/**
 * Scales follow from the largest magnitude (symmetric) or the extremes of each group. `scaleDims` broadcasts against the weight, except in
 * blocks, where the block axis counts blocks.
 */
export function quantizeWeight(tensor: Tensor, scheme: WeightScheme): QuantizedWeight {
  const { dims } = tensor;
  const values = toHost(tensor).data as Float32Array;
  const range = rangeOf(scheme);
  const scaleDims = dims.map((size, axis) => (scheme.block?.axis === axis ? Math.ceil(size / scheme.block.size) : scheme.channelAxis === axis ? size : 1));
  const groupOf = grouping(dims, scaleDims, scheme);
  const groups = elementCount(scaleDims);
  const low = new Float64Array(groups);
  const high = new Float64Array(groups);
  forEachGroup(values.length, groupOf, (i, group) => {
    const value = values[i]!;
    if (value < low[group]!) low[group] = value;
    if (value > high[group]!) high[group] = value;
  });
  const affines = Array.from({ length: groups }, (_, group) => affineFor({ low: low[group]!, high: high[group]! }, scheme, range, group));
  const codes = allocate(scheme.type, values.length) as Int8Array | Uint8Array;
  forEachGroup(values.length, groupOf, (i, group) => { codes[i] = quantizeValue(values[i]!, affines[group]!, range); });
  return { codes, affines, scaleDims };
}

function rangeOf({ type, reduceRange, symmetric }: WeightScheme): IntegerRange {
  const { low, high } = RANGES[type];
  const limited = reduceRange ? { low: Math.ceil(low / 2), high: Math.floor(high / 2) } : { low, high };
  return symmetric && type !== 'uint8' ? { low: -limited.high, high: limited.high } : limited;
}

function affineFor({ low, high }: { low: number; high: number }, scheme: WeightScheme, range: IntegerRange, group: number): Affine {
  const affine = scheme.symmetric ? symmetricAffine(Math.max(-low, high), range) : affineOf({ low, high }, range);
  const least = scheme.leastScale?.(group) ?? 0;
  return affine.scale >= least ? affine : { ...affine, scale: Math.fround(least) };
}

/** Strides that turn an element's coordinates into its group: 0 along axes that share scales. */
function grouping(dims: readonly number[], scaleDims: readonly number[], { block }: WeightScheme): { dims: readonly number[]; strides: readonly number[]; block: { axis: number; size: number } | null } {
  const strides = scaleDims.map((size, axis) => (size === 1 ? 0 : elementCount(scaleDims.slice(axis + 1))));
  return { dims, strides, block: block ?? null };
}

function forEachGroup(count: number, { dims, strides, block }: ReturnType<typeof grouping>, visit: (element: number, group: number) => void): void {
  const last = dims.length - 1;
  const run = last < 0 ? 1 : dims[last]!;
  const index = dims.map(() => 0);
  for (let start = 0; start < count; start += run) {
    let base = 0;
    for (let axis = 0; axis < last; axis++) base += strides[axis]! * (block?.axis === axis ? Math.floor(index[axis]! / block.size) : index[axis]!);
    const stride = last < 0 ? 0 : strides[last]!;
    const blockSize = block?.axis === last ? block.size : 1;
    for (let i = 0; i < run; i++) visit(start + i, stride === 0 ? base : base + stride * Math.floor(i / blockSize));
    for (let axis = last - 1; axis >= 0; axis--) {
      if (++index[axis]! < dims[axis]!) break;
      index[axis] = 0;
    }
  }
}
