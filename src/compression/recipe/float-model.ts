import type { WeightStorage } from '../formats/write-model.ts';
import type { Model } from '../ir/types.ts';
import type { ModelState } from '../step/model-state.ts';

/** The last model whose operators other formats have, and how its weights are to be stored. */
export interface FloatModel {
  readonly model: Model;
  /** The step that made it, or coded it; -1: the upload itself. */
  readonly step: number;
  readonly storage: WeightStorage;
  /** Of initializers that lost channels, the indices of the uploaded model's that are left, by axis. */
  readonly kept: ModelState['kept'];
  /** Whether the result has normalizations of this model folded into the layers before them. */
  readonly folded: boolean;
  /** Whether a step before has made another model of the uploaded one, not only coded it. */
  readonly changed: boolean;
}
