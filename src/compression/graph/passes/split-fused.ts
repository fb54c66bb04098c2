/**
 * Splits FusedConv and FusedGemm, which onnxruntime's optimizer writes, into standard operators: only these can be
 * computed in integers, and onnxruntime fuses them again when it loads the file.
 */
import { outputName } from '../../ir/checked-access.ts';
import { freshNames, makeNode, mapSubgraphs, withInitializers, type AttributeValue } from '../../ir/edit.ts';
import { fromHost, hostOf } from '../../ir/tensor-data.ts';
import type { Graph, Model, Node, Tensor } from '../../ir/types.ts';

interface Standard {
  readonly opType: string;
  /** The input that is added to its result. */
  readonly addend: number | null;
}

/** By fused operator. */
const STANDARD: ReadonlyMap<string, Standard> = new Map([
  ['FusedConv', { opType: 'Conv', addend: 3 }],
  ['FusedGemm', { opType: 'Gemm', addend: null }],
]);
/**
 * Activations with the attributes for their parameters, in order; a missing one has the standard operator's default.
 */
const ACTIVATIONS: ReadonlyMap<string, readonly string[]> = new Map([
  ['Relu', []],
  ['Sigmoid', []],
  ['Tanh', []],
  ['LeakyRelu', ['alpha']],
  ['HardSigmoid', ['alpha', 'beta']],
  ['Clip', ['min', 'max']],
]);
const FUSED_ATTRIBUTES = /^activation(_|$)/;
/** First opset whose Clip has its bounds as inputs. */
const CLIP_INPUTS = 11;

interface Splitting {
  readonly opset: number;
  readonly fresh: (base: string) => string;
}

/** Returns the same model where nothing is fused; nodes whose activation has no standard form stay. */
export function splitFused(model: Model): Model {
  const graph = split(model.graph, { opset: model.opsets.get('') ?? 1, fresh: freshNames(model) });
  return graph === model.graph ? model : { ...model, graph };
}

function split(graph: Graph, splitting: Splitting): Graph {
  const bounds: Tensor[] = [];
  const nodes = graph.nodes.flatMap((node) =>
    isFused(node) ? apart(node, splitting, bounds) : [mapSubgraphs(node, (inner) => split(inner, splitting))],
  );
  if (nodes.length === graph.nodes.length && nodes.every((node, i) => node === graph.nodes[i])) return graph;
  return withInitializers({ ...graph, nodes }, bounds);
}

function isFused(node: Node): boolean {
  const activation = activationOf(node);
  return (
    node.domain === 'com.microsoft' && STANDARD.has(node.opType) && (activation === '' || ACTIVATIONS.has(activation))
  );
}

function activationOf({ attributes }: Node): string {
  const activation = attributes.get('activation');
  return activation?.kind === 'string' ? activation.value : '';
}

function standardOf({ opType }: Node): Standard {
  return STANDARD.get(opType) ?? { opType, addend: null };
}

/** The standard node, the addition and the activation; the last output has the fused node's name. */
function apart(node: Node, splitting: Splitting, bounds: Tensor[]): Node[] {
  const { opType, addend } = standardOf(node);
  const added = addend === null ? '' : (node.inputs[addend] ?? '');
  const activation = activationOf(node);
  const result = outputName(node);
  const temporary = (i: number): string => splitting.fresh(`${result}_${i}`);
  const sum = activation === '' ? result : temporary(added === '' ? 0 : 1);
  const product = added === '' ? sum : temporary(0);
  const attributes = new Map([...node.attributes].filter(([name]) => !FUSED_ATTRIBUTES.test(name)));
  const inputs = node.inputs.slice(0, node.inputs[2] ? 3 : 2);
  const nodes: Node[] = [{ ...node, opType, domain: '', inputs, outputs: [product], attributes }];
  if (added !== '')
    nodes.push(makeNode('Add', [product, added], [sum], {}, { name: splitting.fresh(`${node.name}_Add`) }));
  if (activation !== '') {
    const { node: last, constants } = activated(node, { from: sum, to: result }, splitting);
    nodes.push(last);
    bounds.push(...constants);
  }
  return nodes;
}

interface Activated {
  readonly node: Node;
  /** Bounds of a Clip. */
  readonly constants: readonly Tensor[];
}

/** The fused node's activation, from the value `from` to the value `to`. */
function activated(
  node: Node,
  { from, to }: { readonly from: string; readonly to: string },
  { opset, fresh }: Splitting,
): Activated {
  const activation = activationOf(node);
  const given = parametersOf(node);
  const parameters = (ACTIVATIONS.get(activation) ?? []).flatMap((name, i): [string, number][] =>
    given[i] === undefined ? [] : [[name, given[i]]],
  );
  const name = fresh(`${node.name}_${activation}`);
  if (activation === 'Clip' && opset >= CLIP_INPUTS) {
    const constants = parameters.map(([parameter, bound]) =>
      fromHost(fresh(`${to}_${parameter}`), hostOf('float32', [], [bound])),
    );
    const inputs = [from, ...constants.map((tensor) => tensor.name)];
    return { node: makeNode('Clip', inputs, [to], {}, { name }), constants };
  }
  const floats = parameters.map(([parameter, float]): [string, AttributeValue] => [parameter, { float }]);
  return { node: makeNode(activation, [from], [to], Object.fromEntries(floats), { name }), constants: [] };
}

/** FusedConv lists the parameters, FusedGemm has an attribute for each. */
function parametersOf({ attributes }: Node): number[] {
  const listed = attributes.get('activation_params');
  if (listed?.kind === 'floats') return [...listed.value];
  return ['activation_alpha', 'activation_beta'].flatMap((name) => {
    const attribute = attributes.get(name);
    return attribute?.kind === 'float' ? [attribute.value] : [];
  });
}
