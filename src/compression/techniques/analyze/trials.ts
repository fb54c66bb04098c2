/** The trials: each changes one layer's weight. */
import { toHost } from '../../ir/tensor-data.ts';
import type { Model, Tensor } from '../../ir/types.ts';
import { lowestMasks, magnitudes, maskedWeight } from '../../weights/masks.ts';
import { roundedWeight } from '../../weights/quantize-weight.ts';
import { channelAxes } from '../../weights/weight-uses.ts';
import { kernelWeights, type KernelWeight } from '../kernel-weights.ts';
import type { AnalyzeParameters } from './spec.ts';

export type Trial =
  | { readonly kind: 'prune'; readonly sparsity: number }
  | { readonly kind: 'int8'; readonly sparsity: null };

/** What a trial needs of a weight. */
export type Attempted = Pick<KernelWeight, 'tensor' | 'outputAxis'>;

/** The kernels of a model; `outputAxis` is the axis that quantize gives scales along. */
export function triedWeights(model: Model): KernelWeight[] {
  const axes = channelAxes(model.graph);
  return kernelWeights(model).map((weight) => {
    const axis = axes.get(weight.tensor);
    return axis === undefined ? weight : { ...weight, outputAxis: axis };
  });
}

export function trialsOf({ of, sparsities }: Pick<AnalyzeParameters, 'of' | 'sparsities'>): Trial[] {
  const prune = [...sparsities].sort((a, b) => a - b).map((sparsity): Trial => ({ kind: 'prune', sparsity }));
  return of.flatMap((kind): Trial[] => (kind === 'prune' ? prune : [{ kind, sparsity: null }]));
}

/**
 * The weight after the trial, in its own type and shape, by the same arithmetic as the steps that change it
 * permanently.
 */
export function applyTrial({ tensor, outputAxis }: Attempted, trial: Trial): Tensor {
  if (trial.kind === 'int8') return roundedWeight(tensor, { type: 'int8', symmetric: true, channelAxis: outputAxis });
  const scores = magnitudes(toHost(tensor).data as Float32Array);
  const [mask] = lowestMasks([{ scores }], Math.round(trial.sparsity * scores.length));
  return (mask && maskedWeight(tensor, mask)) ?? tensor;
}
