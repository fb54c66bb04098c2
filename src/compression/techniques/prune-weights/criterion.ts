/** Turns the parameters' sparsity, threshold or pattern into masks, for a given fraction of the way. */
import type { PruneWeightsParameters } from './spec.ts';
import { groupMask, lowestMasks, thresholdMask, type GroupedLayer } from '../../weights/masks.ts';
import { elementAt } from '../../ir/checked-access.ts';

/**
 * `fraction` 0..1 of the way to the target; masks by layer. Zero weights stay pruned because their score is the lowest.
 */
export type Criterion = (layers: readonly GroupedLayer[], fraction: number) => Float32Array[];

/**
 * `weights`: the layers' values before anything is pruned (for thresholds in standard deviations, and zeros that are
 * there already).
 */
export function makeCriterion(parameters: PruneWeightsParameters, weights: readonly Float32Array[]): Criterion {
  const { sparsity, threshold, pattern, scope } = parameters;
  if (pattern !== undefined) {
    const [keep, size] = pattern.split(':').map(Number) as [number, number];
    return (layers, fraction) => layers.map((layer) => groupMask(layer, size, Math.round((size - keep) * fraction)));
  }
  if (threshold !== undefined) {
    const limits = weights.map((values) =>
      'absolute' in threshold ? threshold.absolute : threshold.sigma * standardDeviation(values),
    );
    return (layers, fraction) =>
      layers.map((layer, i) => thresholdMask(layer, elementAt(limits, i, 'layer') * fraction));
  }
  return sparsityCriterion(sparsity ?? 0, scope, weights);
}

/** Starts from the sparsity there is (Zhu & Gupta's s_i), together or per layer. */
function sparsityCriterion(
  target: number,
  scope: PruneWeightsParameters['scope'],
  weights: readonly Float32Array[],
): Criterion {
  const counts = weights.map((values) => ({ total: values.length, zeros: countZeros(values) }));
  const closed = ({ total, zeros }: Count, fraction: number): number =>
    Math.round(zeros + (Math.max(zeros, Math.round(total * target)) - zeros) * fraction);
  if (scope === 'layer')
    return (layers, fraction) =>
      layers.flatMap((layer, i) => lowestMasks([layer], closed(elementAt(counts, i, 'layer'), fraction)));
  const sum = (name: keyof Count): number => counts.reduce((all, count) => all + count[name], 0);
  const together = { total: sum('total'), zeros: sum('zeros') };
  return (layers, fraction) => lowestMasks(layers, closed(together, fraction));
}

interface Count {
  readonly total: number;
  readonly zeros: number;
}

function countZeros(values: Float32Array): number {
  let zeros = 0;
  for (const value of values) if (value === 0) zeros++;
  return zeros;
}

/** Over the weights that are not pruned yet. */
function standardDeviation(values: Float32Array): number {
  let [count, sum, squares] = [0, 0, 0];
  for (const value of values) {
    if (value === 0) continue;
    count++;
    sum += value;
    squares += value * value;
  }
  const mean = sum / Math.max(1, count);
  return Math.sqrt(Math.max(0, squares / Math.max(1, count) - mean * mean));
}
