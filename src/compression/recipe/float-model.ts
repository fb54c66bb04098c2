import type { WeightStorage } from '../formats/write-model.ts';
import type { Model } from '../ir/types.ts';
import type { ModelState } from '../step/model-state.ts';

/** The last model whose operators other formats have, and how to store its weights. */
export interface FloatModel {
  readonly model: Model;
  /** The step that made it, or coded it; -1: the upload itself. */
  readonly step: number;
  readonly storage: WeightStorage;
  /** For initializers that lost channels: the kept indices into the uploaded model's, by axis. */
  readonly kept: ModelState['kept'];
  /** Whether the result has normalizations of this model folded into the layers before them. */
  readonly folded: boolean;
  /** Whether an earlier step has changed the uploaded model, not only coded it. */
  readonly changed: boolean;
}
