/**
 * A model made ready for the engine: functions inlined, operators found, layouts assigned, weights turned into
 * variables.
 */
import { LatheError } from '../../errors.ts';
import type { UntrainableNode } from '../../contracts/model.ts';
import { findOperator } from '../operators/registry.ts';
import { unsupportedAttribute } from '../operators/unsupported-attribute.ts';
import { inferShapes, opsetOf } from '../graph/infer.ts';
import { nodeLabel } from '../ir/graph-error.ts';
import { walkNodes, withGraph } from '../ir/edit.ts';
import { unpackCodes } from '../graph/codebooks.ts';
import { settingsOf } from '../ir/settings.ts';
import { constantsAsInitializers } from '../graph/passes/constants-as-initializers.ts';
import { hoistConstants } from '../graph/passes/hoist-constants.ts';
import { inlineFunctions } from '../graph/passes/inline-functions.ts';
import { sharedStatistics, withCopies, type Copy } from '../graph/passes/separate-statistics.ts';
import type { Graph, Model, Tensor } from '../ir/types.ts';
import { gradientPaths, type Bodies, type Reach } from './gradient-paths.ts';
import { LoweredNetwork } from './lowered-network.ts';
import type { Lowered, Network } from './network.ts';
import type { NetworkParts } from './network-parts.ts';
import { findWeights, type Weight } from './parameters.ts';
import { makeProgram, type Program } from './program.ts';
import { constantsOf } from './write-back.ts';

/** A lowered network without its tensors, or the nodes that make lowering impossible. */
export type Planned =
  | { readonly ok: true; readonly parts: NetworkParts }
  | { readonly ok: false; readonly untrainable: readonly [UntrainableNode, ...UntrainableNode[]] };

/**
 * Plans the network that `new LoweredNetwork` makes; needs no engine. The answer names every node whose operator the
 * engine does not know.
 * @throws LatheError `malformed-model` where the graph contradicts itself.
 */
export function planModel(model: Model): Planned {
  const copies = sharedStatistics(model);
  const inlined = computed(withCopies(model, copies));
  const unknown = unknownNodes(inlined);
  const [first, ...others] = unknown;
  if (first) return { ok: false, untrainable: [first, ...others] };
  return { ok: true, parts: partsOf(model, copies, inlined) };
}

/**
 * The model that a network computes: functions inlined, weights as initializers, codes of clustered weights unpacked.
 */
export function computed(model: Model): Model {
  const inlined = hoistConstants(constantsAsInitializers(inlineFunctions(model)));
  return withGraph(inlined, unpackCodes(inlined.graph));
}

/** Lowers a model as planned. @throws LatheError as `planModel` */
export function lowerModel(model: Model): Lowered {
  const planned = planModel(model);
  return planned.ok ? { ok: true, network: new LoweredNetwork(planned.parts) } : planned;
}

/** As `lowerModel`. @throws LatheError `unsupported-operator` with the first unknown node. */
export function lowerOrThrow(model: Model): Network {
  const lowered = lowerModel(model);
  if (lowered.ok) return lowered.network;
  const details = lowered.untrainable.map(({ node, reason }) => ({ path: node, message: reason }));
  const [first] = lowered.untrainable;
  throw new LatheError('unsupported-operator', `${first.node}: ${first.reason}`, details);
}

function partsOf(model: Model, copies: readonly Copy[], inlined: Model): NetworkParts {
  const types = inferShapes(inlined);
  const sketch = makeProgram(inlined.graph, types, inlined.opsets);
  const bodies = bodyPrograms(inlined.opsets);
  const reach = gradientPaths(sketch, bodies);
  const weights = findWeights(sketch, bodies, ownConstants(withCopies(model, copies), inlined));
  const trained = new Set([...reach].filter(([, { kind }]) => kind === 'open').map(([name]) => name));
  const program = makeProgram(inlined.graph, types, inlined.opsets, downstream(sketch, weights, trained));
  return { model, copies, program, opsets: inlined.opsets, ...sortWeights(weights, reach) };
}

/** Makes the program of each body once. */
function bodyPrograms(opsets: ReadonlyMap<string, number>): Bodies {
  const made = new Map<Graph, Program>();
  return (graph, outer) => {
    const known = made.get(graph) ?? makeProgram(graph, outer.types.subgraph(graph) ?? outer.types, opsets);
    made.set(graph, known);
    return known;
  };
}

/**
 * Constants of the inlined graph that the given model holds too and that are not settings: those that can be written
 * back.
 */
function ownConstants(model: Model, inlined: Model): ReadonlyMap<string, Tensor> {
  const own = constantsOf(model.graph);
  const settings = settingsOf(model);
  return new Map([...inlined.graph.initializers].filter(([name]) => own.has(name) && !settings.has(name)));
}

type Sorted = Pick<NetworkParts, 'weights' | 'state' | 'frozen'>;

function sortWeights(weights: ReadonlyMap<string, Weight>, reach: ReadonlyMap<string, Reach>): Sorted {
  const sorted = {
    weights: new Map<string, Weight>(),
    state: new Map<string, Weight>(),
    frozen: [] as { parameter: string; node: string; reason: string }[],
  };
  for (const [name, weight] of weights) {
    const way = reach.get(name) ?? { kind: 'none' };
    if (weight.role === 'running-mean' || weight.role === 'running-variance') sorted.state.set(name, weight);
    else if (way.kind === 'open') sorted.weights.set(name, weight);
    else if (way.kind !== 'none') sorted.frozen.push({ parameter: name, node: way.by.node, reason: way.by.reason });
  }
  return sorted;
}

/**
 * Values on a differentiable path from a trained weight to an output.
 */
function downstream(
  program: Program,
  weights: ReadonlyMap<string, Weight>,
  open: ReadonlySet<string>,
): ReadonlySet<string> {
  const found = new Set<string>([...weights.keys()].filter((name) => open.has(name)));
  for (const { node, uses } of program.instructions) {
    if (![...uses].some((name) => found.has(name))) continue;
    for (const output of node.outputs) if (open.has(output)) found.add(output);
  }
  return found;
}

function unknownNodes(model: Model): UntrainableNode[] {
  const unknown: UntrainableNode[] = [];
  walkNodes(model.graph, (node) => {
    const known = findOperator(node.domain, node.opType, opsetOf(model.opsets, node));
    const operator = node.domain === '' ? node.opType : `${node.domain}.${node.opType}`;
    const reason = known
      ? unsupportedAttribute(node)
      : `operator ${operator} is not known to the training engine${remedy(operator)}`;
    if (reason !== null) unknown.push({ node: nodeLabel(node), operator, reason });
  });
  return unknown;
}

/** What can be done about operators that are met often. */
const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [
    /^com\.microsoft\.nchwc\./,
    'onnxruntime wrote it for one kind of processor. Upload the model that it was given, or one optimized at level ' +
      '"extended"',
  ],
  [
    /^ai\.onnx\.ml\.ZipMap$/,
    'it gives scores as a map. Convert with options={"zipmap": False} to have them as a tensor',
  ],
  [/^ai\.onnx\.ml\.(TreeEnsemble|SVM|Linear)/, 'its weights are attributes, which gradients do not reach'],
];

function remedy(operator: string): string {
  const found = REMEDIES.find(([operators]) => operators.test(operator));
  return found ? ` (${found[1]})` : '';
}
