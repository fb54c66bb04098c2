import { recoverAccuracy } from '../../training/recover.ts';
import type { ModelState } from '../../step/model-state.ts';
import type { StepContext } from '../../step/step-context.ts';
import { clusterWeights } from './cluster-weights.ts';
import type { ClusterParameters } from './spec.ts';

/**
 * Clusters weights, then trains the values that they share and all that was not clustered; zeros that have a cluster of
 * their own stay. A codebook is a parameter of the network, whose gradient is the sum of those of the weights that
 * share a value (Han et al. 2016, equation 3).
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
