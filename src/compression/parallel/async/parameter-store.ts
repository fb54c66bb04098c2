/** Where a parameter server keeps its weights. */
import { copyTensors, type Tensors } from './tensors.ts';
import type { UpdateRule, UpdateSettings } from './update-rule.ts';

export interface ParameterStore {
  /** Weights and whatever else workers need, as they are now; later updates leave the result alone. */
  values(): Tensors;
  /** Updates the weights by a gradient, or by what a worker has moved them (weights before less after). */
  update(gradient: Tensors, settings: UpdateSettings): void;
  /** Running statistics (BatchNormalization), which no gradient reaches. */
  statistics(): Tensors;
  setStatistics(statistics: Tensors): void;
}

/** Weights on the host. */
export function hostStore(initial: Tensors, rule: UpdateRule, statistics: Tensors = new Map()): ParameterStore {
  const weights = copyTensors(initial);
  let present = statistics;
  return {
    values: () => copyTensors(weights),
    update: (gradient, settings) => rule.apply(weights, gradient, settings),
    statistics: () => present,
    setStatistics: (next) => (present = next),
  };
}
