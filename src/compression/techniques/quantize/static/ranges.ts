/**
 * Ranges from observed values. All methods but min-max cut off outliers, so that the codes resolve the rest more
 * finely: they shrink [low, high] towards zero by one factor, and differ in how they choose it.
 */
import {
  RANGES,
  affineOf,
  dequantizeValue,
  quantizeValue,
  type IntegerRange,
  type ValueRange,
} from '../../../weights/affine.ts';
import { BINS, type Observed } from './observe.ts';

export type RangeMethod = 'min-max' | 'percentile' | 'entropy' | 'mse';
export const RANGE_METHODS: readonly RangeMethod[] = ['min-max', 'percentile', 'mse', 'entropy'];

/** Share of the non-zero values that percentile keeps within the range. */
const PERCENTILE = 0.9999;
/** Factors tried by mse and entropy: 1, 0.99, ... 0.2. */
const FACTORS = Array.from({ length: 81 }, (_, i) => 1 - i / 100);
const CODES: IntegerRange = RANGES.uint8;

export function rangeOf(observed: Observed, method: RangeMethod): ValueRange {
  const range = { low: Math.min(0, observed.low), high: Math.max(0, observed.high) };
  if (method === 'min-max' || !observed.histogram || range.high === range.low) return range;
  const finders: Record<
    Exclude<RangeMethod, 'min-max'>,
    (values: Observed & { histogram: Float64Array }) => ValueRange
  > = { percentile, mse, entropy };
  return finders[method]({ ...observed, histogram: observed.histogram });
}

type Histogram = Observed & { readonly histogram: Float64Array };

const binWidth = ({ low, high }: ValueRange) => (high - low) / BINS;
const shrunk = ({ low, high }: ValueRange, factor: number): ValueRange => ({
  low: Math.min(0, low) * factor,
  high: Math.max(0, high) * factor,
});

/** Cuts half of the remaining share at each end that lies beyond zero. */
function percentile(values: Histogram): ValueRange {
  const { histogram, low, high } = values;
  const total = histogram.reduce((sum, count) => sum + count, 0);
  const bothSides = low < 0 && high > 0;
  const cut = total * (1 - PERCENTILE) * (bothSides ? 0.5 : 1);
  let [first, last] = [0, BINS - 1];
  for (let sum = histogram[first]!; low < 0 && sum <= cut && first < BINS - 1; sum += histogram[first]!) first++;
  for (let sum = histogram[last]!; high > 0 && sum <= cut && last > 0; sum += histogram[last]!) last--;
  const width = binWidth(values);
  return { low: Math.min(0, low + first * width), high: Math.max(0, low + (last + 1) * width) };
}

/** Least sum of (x - q(x))^2 over the histogram. */
function mse(values: Histogram): ValueRange {
  return best(values, (range) => {
    const affine = affineOf(range, CODES);
    let error = 0;
    for (let bin = 0; bin < BINS; bin++) {
      const count = values.histogram[bin]!;
      if (count === 0) continue;
      const x = values.low + (bin + 0.5) * binWidth(values);
      const difference = x - dequantizeValue(quantizeValue(x, affine, CODES), affine);
      error += count * difference * difference;
    }
    return error;
  });
}

/**
 * Least KL divergence between the histogram, outliers counted at the ends of the range, and what is left of it when
 * only one bar per code is known (Migacz, "8-bit Inference with TensorRT", GTC 2017), for ranges that need not be
 * symmetric.
 */
function entropy(values: Histogram): ValueRange {
  const { histogram, low } = values;
  const width = binWidth(values);
  const total = histogram.reduce((sum, count) => sum + count, 0);
  return best(values, (range) => {
    const first = Math.max(0, Math.floor((range.low - low) / width));
    const last = Math.min(BINS - 1, Math.ceil((range.high - low) / width) - 1);
    const clipped = histogram.slice(first, last + 1);
    const inside = histogram.slice(first, last + 1);
    for (let bin = 0; bin < first; bin++) clipped[0]! += histogram[bin]!;
    for (let bin = last + 1; bin < BINS; bin++) clipped[clipped.length - 1]! += histogram[bin]!;
    return divergence(clipped, inside, total);
  });
}

/** KL(p || q): q spreads the counts of each of 256 groups of bins evenly over the group's bins that are not empty. */
function divergence(p: Float64Array, inside: Float64Array, total: number): number {
  const codes = Math.min(256, inside.length);
  let [sum, spreadTotal] = [0, 0];
  const q = new Float64Array(inside.length);
  for (let code = 0; code < codes; code++) {
    const from = Math.floor((code * inside.length) / codes);
    const to = Math.floor(((code + 1) * inside.length) / codes);
    let [count, used] = [0, 0];
    for (let bin = from; bin < to; bin++)
      if (inside[bin]! > 0) {
        count += inside[bin]!;
        used++;
      }
    for (let bin = from; bin < to; bin++) if (inside[bin]! > 0) q[bin] = count / used;
    spreadTotal += count;
  }
  if (spreadTotal === 0) return Infinity;
  for (let bin = 0; bin < p.length; bin++) {
    if (p[bin] === 0) continue;
    const probability = p[bin]! / total;
    sum += probability * Math.log(probability / Math.max(q[bin]! / spreadTotal, 1e-9));
  }
  return sum;
}

function best(values: Histogram, loss: (range: ValueRange) => number): ValueRange {
  let chosen = shrunk(values, 1);
  let lowestError = Infinity;
  for (const factor of FACTORS) {
    const range = shrunk(values, factor);
    const value = loss(range);
    if (value >= lowestError) continue;
    lowestError = value;
    chosen = range;
  }
  return chosen;
}
