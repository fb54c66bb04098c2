/** The model as it goes from step to step. */
import type { KeptIndices } from '../graph/channels/remove.ts';
import type { Model } from '../ir/types.ts';

export interface ModelState {
  readonly model: Model;
  /** Initializers whose zeros later steps must keep (set by pruning); the mask is where the tensor is not zero. */
  readonly frozenZeros: ReadonlySet<string>;
  /** Of initializers that lost channels, the indices of the uploaded model's that are left, by axis. */
  readonly kept: ReadonlyMap<string, KeptIndices>;
  /** Initializers that the next export codes in a special way; empty for most. */
  readonly quantized: boolean;
}
