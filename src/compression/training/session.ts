/** Lowers a model, lets a technique train it, writes the weights back and frees the engine's memory. */
import { LatheError } from '../../errors.ts';
import type { Model } from '../ir/types.ts';
import { lowerModel } from '../network/lower.ts';
import type { Network } from '../network/network.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext } from '../step/step-context.ts';
import { Masks } from './constraint.ts';

/**
 * @throws LatheError `model-not-trainable`, naming the nodes in the way
 */
export function networkOf(model: Model, what = 'The model'): Network {
  const lowered = lowerModel(model);
  if (lowered.ok) return lowered.network;
  const errors = lowered.untrainable.map(({ node, operator, reason }) => ({
    path: `node "${node}"`,
    message: `${operator}: ${reason}`,
  }));
  throw new LatheError(
    'model-not-trainable',
    `${what} cannot be run for training: ${errors.map(({ path, message }) => `${path} (${message})`).join('; ')}`,
    errors,
  );
}

/** Runs `work` on the lowered model, returns the state with the trained weights, and frees everything on the engine. */
export async function withNetwork(
  state: ModelState,
  context: StepContext,
  work: (network: Network) => Promise<void>,
): Promise<ModelState> {
  const network = networkOf(state.model);
  try {
    if (network.parameters.length === 0)
      throw new LatheError('model-not-trainable', 'The model has no weights that gradients reach');
    warnOfFrozen(network, context);
    await work(network);
    return { ...state, model: await network.toModel() };
  } finally {
    network.dispose();
  }
}

function warnOfFrozen({ frozen }: Network, context: StepContext): void {
  if (frozen.length === 0) return;
  const nodes = [...new Map(frozen.map(({ node, reason }) => [node, reason]))].map(
    ([node, reason]) => `"${node}" (${reason})`,
  );
  context.warn('frozen-weights', `${frozen.length} weight(s) are not trained: no gradient passes ${nodes.join(', ')}`);
}

/** Masks for the weights with zeros from earlier steps; null if there are none. */
export function frozenMasks(network: Network, { frozenZeros }: ModelState): Masks | null {
  const parameters = network.parameters.filter(({ name }) => frozenZeros.has(name));
  if (parameters.length === 0) return null;
  const masks = new Masks(parameters);
  for (const parameter of parameters) masks.freezeZeros(parameter);
  return masks;
}
