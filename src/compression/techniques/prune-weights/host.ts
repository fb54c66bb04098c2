/** Pruning without the engine, for models that cannot be trained as well. */
import { elementAt } from '../../ir/checked-access.ts';
import { toHost } from '../../ir/tensor-data.ts';
import type { Model, Node, Tensor } from '../../ir/types.ts';
import { magnitudes, maskedWeight } from '../../weights/masks.ts';
import { replaceWeights, type KernelWeight } from '../kernel-weights.ts';
import { makeCriterion } from './criterion.ts';
import type { PruneWeightsParameters } from './spec.ts';

export interface PrunedModel {
  readonly model: Model;
  /** The weights that changed. */
  readonly pruned: readonly string[];
}

/** Sets the lowest magnitudes to zero, all at once. */
export function pruneModel(
  model: Model,
  weights: readonly KernelWeight[],
  parameters: PruneWeightsParameters,
): PrunedModel {
  const values = weights.map(({ tensor }) => Float32Array.from(toHost(tensor).data as Float32Array));
  const layers = weights.map(({ tensor, reductionAxis }, i) => ({
    scores: magnitudes(elementAt(values, i, 'layer')),
    dims: tensor.dims,
    axis: reductionAxis,
  }));
  const masks = makeCriterion(parameters, values)(layers, 1);
  const replaced = new Map<Tensor | Node, Tensor>();
  weights.forEach(({ tensor, place }, i) => {
    const masked = maskedWeight(tensor, elementAt(masks, i, 'mask'));
    if (masked) replaced.set(place, masked);
  });
  return {
    model: replaceWeights(model, replaced),
    pruned: weights.filter(({ place }) => replaced.has(place)).map(({ name }) => name),
  };
}
