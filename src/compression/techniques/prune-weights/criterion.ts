/** Turns the parameters' sparsity, threshold or pattern into masks, for a given fraction of the way. */
import type { PruneWeightsParameters } from './spec.ts';
import { groupMask, lowestMasks, thresholdMask, type GroupedLayer } from '../../weights/masks.ts';

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
    return (layers, fraction) => layers.map((layer, i) => thresholdMask(layer, limits[i]! * fraction));
  }
  return sparsityCriterion(sparsity ?? 0, scope, weights);
}

/** Starts from the sparsity there is (Zhu & Gupta's s_i), together or per layer. */
function sparsityCriterion(
  target: number,
  scope: PruneWeightsParameters['scope'],
  weights: readonly Float32Array[],
): Criterion {
  const groups = scope === 'global' ? [weights.map((_, i) => i)] : weights.map((_, i) => [i]);
  const counts = groups.map((group) => {
    const total = group.reduce((sum, i) => sum + weights[i]!.length, 0);
    const zeros = group.reduce((sum, i) => sum + countZeros(weights[i]!), 0);
    return { total, zeros, wanted: Math.max(zeros, Math.round(total * target)) };
  });
  return (layers, fraction) => {
    const masks: Float32Array[] = [];
    groups.forEach((group, g) => {
      const { zeros, wanted } = counts[g]!;
      const chosen = lowestMasks(
        group.map((i) => layers[i]!),
        Math.round(zeros + (wanted - zeros) * fraction),
      );
      group.forEach((i, k) => (masks[i] = chosen[k]!));
    });
    return masks;
  };
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
