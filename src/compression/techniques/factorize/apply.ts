import { freshNames, removeUnusedInitializers, withInitializers } from '../../ir/edit.ts';
import { constantsAsInitializers } from '../../graph/passes/constants-as-initializers.ts';
import { inlineFunctions } from '../../graph/passes/inline-functions.ts';
import { hostNumbers, toHost } from '../../ir/tensor-data.ts';
import type { Model, Node } from '../../ir/types.ts';
import { recoverAccuracy } from '../../training/recover.ts';
import { layerMatcher } from '../layer-filter.ts';
import type { ModelState } from '../../step/model-state.ts';
import type { StepContext } from '../../step/step-context.ts';
import { convolutionFactorizations } from './convolution.ts';
import { convolutionOf } from './convolution-chain.ts';
import { choose, type Factorization, type Replacement } from './factorization.ts';
import { factorizableLayers, type Layer } from './layers.ts';
import { matrixFactorizations } from './matrix.ts';
import type { FactorizeParameters } from './spec.ts';

/** Replaces layers by their factors and trains the result. */
export async function apply(
  before: ModelState,
  parameters: FactorizeParameters,
  context: StepContext,
): Promise<ModelState> {
  context.signal.throwIfAborted();
  const model = constantsAsInitializers(inlineFunctions(before.model));
  const layers = chosenLayers(model, before, parameters);
  const replaced =
    layers.length === 0 ? new Map<Node, Replacement>() : await factorizeAll(model, layers, parameters, context);
  if (replaced.size === 0 && parameters.energy !== 1)
    context.warn('nothing-factorized', nothing(model, layers, before));
  const state = replaced.size === 0 ? before : { ...before, model: withReplacements(model, replaced) };
  return parameters.epochs === 0 ? state : recoverAccuracy(state, parameters, context, parameters.epochs);
}

function chosenLayers(model: Model, { frozenZeros }: ModelState, { layers }: FactorizeParameters): Layer[] {
  const matches = layerMatcher(layers);
  return factorizableLayers(model, frozenZeros).filter(({ node, weight }) =>
    matches([weight.name, node.name, ...node.outputs]),
  );
}

async function factorizeAll(
  model: Model,
  layers: readonly Layer[],
  parameters: FactorizeParameters,
  { signal, warn }: StepContext,
): Promise<Map<Node, Replacement>> {
  const fresh = freshNames(model);
  const replaced = new Map<Node, Replacement>();
  for (const layer of layers) {
    signal.throwIfAborted();
    if (!hostNumbers(toHost(layer.weight)).every(Number.isFinite)) {
      warn('not-finite', `"${layer.weight.name}" holds values that are not finite; it is not factorized`);
      continue;
    }
    const factorization = factorizationOf(layer, parameters);
    if (factorization) replaced.set(layer.node, factorization.replacement(fresh));
    await new Promise(setImmediate); // lets an abort through: a large layer takes seconds
  }
  return replaced;
}

function factorizationOf(layer: Layer, parameters: FactorizeParameters): Factorization | null {
  if (layer.kind === 'matrix') {
    const { layer: cost, found } = matrixFactorizations(layer.node, layer.weight, layer.isTransposed, parameters);
    return choose(found, cost, parameters);
  }
  const convolution = convolutionOf(layer.node, layer.weight);
  return choose(convolutionFactorizations(convolution, parameters.method, parameters), convolution.layer, parameters);
}

function withReplacements(model: Model, replaced: ReadonlyMap<Node, Replacement>): Model {
  const nodes = model.graph.nodes.flatMap((node) => replaced.get(node)?.nodes ?? [node]);
  const tensors = [...replaced.values()].flatMap((replacement) => replacement.tensors);
  return { ...model, graph: removeUnusedInitializers(withInitializers({ ...model.graph, nodes }, tensors)) };
}

function nothing(model: Model, layers: readonly Layer[], { frozenZeros }: ModelState): string {
  if (layers.length > 0)
    return (
      `At this target the factors of ${layers.length} layer(s) would not be cheaper than the layers; lower energy, ` +
      'rank or ratio'
    );
  const all = factorizableLayers(model, frozenZeros);
  if (all.length > 0) return `No layer matches; there are ${all.map(({ weight }) => `"${weight.name}"`).join(', ')}`;
  return frozenZeros.size > 0
    ? 'The layers hold zeros that pruning made, which factors would not keep'
    : 'The model has no matrix products or convolutions of one group with constant float weights';
}
