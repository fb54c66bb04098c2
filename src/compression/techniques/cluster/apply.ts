import { recoverAccuracy } from '../../training/recover.ts';
import type { ModelState } from '../../step/model-state.ts';
import type { StepContext } from '../../step/step-context.ts';
import { clusterWeights } from './cluster-weights.ts';
import type { ClusterParameters } from './spec.ts';

/**
 * Clusters weights, then trains the shared values and all unclustered weights; zeros with a cluster of their own stay
 * zero. A codebook is a parameter of the network; the gradient of each value is the sum over the weights that share it
 * (Han et al. 2016, equation 3).
 */
export async function apply(
  state: ModelState,
  parameters: ClusterParameters,
  context: StepContext,
): Promise<ModelState> {
  context.signal.throwIfAborted();
  const clustered = await clusterWeights(state, parameters, context);
  return clustered === state || parameters.epochs === 0
    ? clustered
    : recoverAccuracy(clustered, parameters, context, parameters.epochs);
}
