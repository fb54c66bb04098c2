/** Chooses the weights to cluster, and clusters them. */
import { isUnsupportedOperator } from '../../../errors.ts';
import { seededRandom } from '../../data/random.ts';
import { expandCodebooks, sharedWeights, withoutCodebooks } from '../../graph/codebooks.ts';
import { quantizationWarnings } from '../../graph/describe.ts';
import { outputName } from '../../ir/checked-access.ts';
import { withGraph } from '../../ir/edit.ts';
import { upgradeOpset } from '../../graph/passes/upgrade-opset.ts';
import { settingsOf } from '../../ir/settings.ts';
import { elementCount } from '../../ir/tensor-data.ts';
import type { Model, Node, Tensor } from '../../ir/types.ts';
import { nextTurn } from '../../training/event-loop.ts';
import { kernelWeights, type KernelWeight, type WeightKind } from '../kernel-weights.ts';
import { layerMatcher } from '../layer-filter.ts';
import type { ModelState } from '../../step/model-state.ts';
import type { StepContext } from '../../step/step-context.ts';
import { encodeWeight, type Coded } from '../../weights/codebook.ts';
import { opsetOf, isSmaller, shareWeights } from './share.ts';
import { clusterCount, type ClusterParameters } from './spec.ts';
import { UNPACKING_OPSET } from './storage.ts';

/** Kernels and embedding tables: most of any model's bytes. */
const KINDS: ReadonlySet<WeightKind> = new Set(['kernel', 'embedding']);
/** Weights of this many bits are still floats. */
const HALF_BITS = 16;
/** The lowest opset that raising leads to. */
const RAISED_OPSET = 13;

/** Returns the same state if nothing is clustered, with a warning that says why. */
export async function clusterWeights(
  state: ModelState,
  parameters: ClusterParameters,
  context: StepContext,
): Promise<ModelState> {
  for (const { code, message } of quantizationWarnings(state.model.graph, HALF_BITS))
    context.warn(code, `${message}; these parts are left as they are`);
  const model = raised(withoutFiner(state.model, parameters));
  const weights = floatWeights(model, parameters);
  const { chosen } = weights;
  const coded = await encodeAll(chosen, state, parameters, context);
  for (const { place, tensor } of chosen) {
    const weight = coded.get(place);
    if (weight && !isSmaller(weight, tensor, opsetOf(model))) coded.delete(place);
  }
  if (coded.size === 0) {
    warnOfNothing(state.model, weights, parameters, context);
    return state;
  }
  const shared = shareWeights(model, coded);
  const keepingZeros = chosen.filter(({ place }) => coded.get(place)?.keepsZeros).map(({ name }) => name);
  return {
    ...state,
    model: shared.model,
    frozenZeros: new Set([...state.frozenZeros, ...keepingZeros, ...shared.keepingZeros]),
  };
}

/**
 * Expands selected weights that are already clustered into more values than asked for; coarser ones stay as they are.
 */
function withoutFiner(model: Model, parameters: ClusterParameters): Model {
  if (sharedWeights(model.graph).size === 0) return model;
  const selected = new Set(floatWeights(withoutCodebooks(model), parameters).chosen.map(({ name }) => name));
  return withGraph(
    model,
    expandCodebooks(
      model.graph,
      ({ gather, codebook }) =>
        elementCount(codebook.dims) > clusterCount(parameters) && selected.has(outputName(gather)),
    ),
  );
}

/**
 * Raises the opset of a model too old for the operators that unpack codes; if that fails, codes are stored as bytes.
 */
function raised(model: Model): Model {
  if (opsetOf(model) >= UNPACKING_OPSET) return model;
  try {
    return upgradeOpset(model, RAISED_OPSET);
  } catch (error) {
    if (!isUnsupportedOperator(error)) throw error;
    return model;
  }
}

interface FloatWeights {
  readonly all: readonly KernelWeight[];
  /** Those that the layer filter selects. */
  readonly chosen: readonly KernelWeight[];
}

/** Without the codebooks of weights that are clustered already. */
function floatWeights(model: Model, { layers }: ClusterParameters): FloatWeights {
  const matches = layerMatcher(layers);
  const codebooks = new Set([...sharedWeights(model.graph).values()].map(({ codebook }) => codebook));
  const settings = settingsOf(model);
  const outputs = new Set(model.graph.outputs.map(({ name }) => name));
  const all = kernelWeights(model, KINDS).filter(
    ({ name, tensor }) => tensor.dims.length > 1 && !codebooks.has(tensor) && !settings.has(name) && !outputs.has(name),
  );
  return { all, chosen: all.filter(({ names }) => matches(names)) };
}

async function encodeAll(
  weights: readonly KernelWeight[],
  { frozenZeros }: ModelState,
  { init, ...parameters }: ClusterParameters,
  context: StepContext,
): Promise<Map<Tensor | Node, Coded>> {
  const coded = new Map<Tensor | Node, Coded>();
  const broken: string[] = [];
  for (const [i, { name, tensor, place }] of weights.entries()) {
    context.signal.throwIfAborted();
    const weight = encodeWeight(tensor, {
      clusters: clusterCount(parameters),
      init,
      pruned: frozenZeros.has(name),
      random: seededRandom(context.seed, i),
    });
    if (weight) coded.set(place, weight);
    else broken.push(`"${name}"`);
    await nextTurn();
  }
  if (broken.length > 0)
    context.warn(
      'weights-not-finite',
      `Left as they are, since they hold values that are not finite: ${broken.join(', ')}`,
    );
  return coded;
}

function warnOfNothing(
  model: Model,
  { all, chosen }: FloatWeights,
  parameters: ClusterParameters,
  context: StepContext,
): void {
  const clusters = clusterCount(parameters);
  const known = sharedWeights(model.graph).size;
  if (known > 0)
    context.warn(
      'already-clustered',
      `${known} weight(s) of the model have at most ${clusters} different values already; ` +
        'no other that the step selects would be smaller',
    );
  else if (chosen.length > 0)
    context.warn(
      'nothing-to-cluster',
      `None of the ${chosen.length} weight(s) that the step selects would be smaller with ${clusters} values`,
    );
  else
    context.warn(
      'nothing-to-cluster',
      all.length === 0
        ? 'The model has no float kernels'
        : `No layer matches ${JSON.stringify(parameters.layers)}; there are ` +
            all.map(({ name }) => `"${name}"`).join(', '),
    );
}
