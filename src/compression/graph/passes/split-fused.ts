/**
 * onnxruntime's optimizer writes convolutions and matrix products with their activation in one node (FusedConv,
 * FusedGemm). As the standard operators that they stand for they can be computed in integers; onnxruntime fuses them
 * again when it loads the file.
 */
import { freshNames, makeNode, mapSubgraphs, withInitializers, type AttributeValue } from '../../ir/edit.ts';
import { fromHost, hostOf } from '../../ir/tensor-data.ts';
import type { Graph, Model, Node, Tensor } from '../../ir/types.ts';

/** By operator: the standard one, and the input that is added to its result. */
const STANDARD: ReadonlyMap<string, { readonly opType: string; readonly addend: number | null }> = new Map([
  ['FusedConv', { opType: 'Conv', addend: 3 }],
  ['FusedGemm', { opType: 'Gemm', addend: null }],
]);
/**
 * Activations with the attributes that their parameters are, in order; a missing one has the standard operator's
 * default.
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
/** The first whose Clip has its bounds as inputs. */
const CLIP_INPUTS = 11;

interface Splitting {
  readonly opset: number;
  readonly fresh: (base: string) => string;
}

/** The same model where nothing is fused; nodes with activations that have no standard form stay. */
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

/** The standard node, what is added, and the activation, whose result has the fused node's name. */
function apart(node: Node, splitting: Splitting, bounds: Tensor[]): Node[] {
  const { opType, addend } = STANDARD.get(node.opType)!;
  const added = addend === null ? '' : (node.inputs[addend] ?? '');
  const activation = activationOf(node);
  const result = node.outputs[0]!;
  const stages = 1 + Number(added !== '') + Number(activation !== '');
  const names = Array.from({ length: stages }, (_, i) =>
    i === stages - 1 ? result : splitting.fresh(`${result}_${i}`),
  );
  const attributes = new Map([...node.attributes].filter(([name]) => !FUSED_ATTRIBUTES.test(name)));
  const nodes: Node[] = [
    {
      ...node,
      opType,
      domain: '',
      inputs: node.inputs.slice(0, node.inputs[2] ? 3 : 2),
      outputs: [names.shift()!],
      attributes,
    },
  ];
  const last = (): string => nodes.at(-1)!.outputs[0]!;
  if (added !== '')
    nodes.push(makeNode('Add', [last(), added], [names.shift()!], {}, { name: splitting.fresh(`${node.name}_Add`) }));
  if (activation !== '') nodes.push(activated(node, activation, last(), result, splitting, bounds));
  return nodes;
}

function activated(
  node: Node,
  activation: string,
  from: string,
  to: string,
  { opset, fresh }: Splitting,
  bounds: Tensor[],
): Node {
  const given = parametersOf(node);
  const parameters = ACTIVATIONS.get(activation)!.flatMap((name, i): [string, number][] =>
    given[i] === undefined ? [] : [[name, given[i]]],
  );
  const name = fresh(`${node.name}_${activation}`);
  if (activation !== 'Clip' || opset < CLIP_INPUTS)
    return makeNode(
      activation,
      [from],
      [to],
      Object.fromEntries(parameters.map(([parameter, float]): [string, AttributeValue] => [parameter, { float }])),
      { name },
    );
  const tensors = parameters.map(([parameter, bound]) =>
    fromHost(fresh(`${to}_${parameter}`), hostOf('float32', [], [bound])),
  );
  bounds.push(...tensors);
  return makeNode('Clip', [from, ...tensors.map((tensor) => tensor.name)], [to], {}, { name });
}

/** FusedConv lists them, FusedGemm names them one by one. */
function parametersOf({ attributes }: Node): number[] {
  const listed = attributes.get('activation_params');
  if (listed?.kind === 'floats') return [...listed.value];
  return ['activation_alpha', 'activation_beta'].flatMap((name) => {
    const attribute = attributes.get(name);
    return attribute?.kind === 'float' ? [attribute.value] : [];
  });
}
