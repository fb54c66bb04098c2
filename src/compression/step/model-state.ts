/** The model as steps pass it on. */
import type { KeptIndices } from '../graph/channels/remove.ts';
import type { Model } from '../ir/types.ts';

export interface ModelState {
  readonly model: Model;
  /** Initializers whose zeros later steps must keep (set by pruning); the mask is where the tensor is not zero. */
  readonly frozenZeros: ReadonlySet<string>;
  /** For initializers that lost channels: the kept indices into the uploaded model's, by axis. */
  readonly kept: ReadonlyMap<string, KeptIndices>;
  /** Initializers that the next export codes in a special way; empty for most. */
  readonly quantized: boolean;
}
