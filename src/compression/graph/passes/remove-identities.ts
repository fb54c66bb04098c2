import { inputName, outputName } from '../../ir/checked-access.ts';
import { indexGraph, renameUses, subgraphs } from '../../ir/edit.ts';
import { inferShapes, type TypeTable } from '../infer.ts';
import { hostNumbers } from '../../ir/tensor-data.ts';
import type { Graph, Model, Node, TensorType } from '../../ir/types.ts';

/**
 * Removes nodes of the main graph that pass their first input through unchanged at inference: Identity, Dropout, and
 * Cast, Reshape, Transpose, Squeeze... without effect. Names of graph outputs are kept: a node between an input or
 * initializer and an output stays.
 */
export function removeIdentities(model: Model, table: TypeTable = inferShapes(model)): Model {
  const graph = withoutIdentities(model.graph, table);
  return graph === model.graph ? model : { ...model, graph };
}

function withoutIdentities(graph: Graph, table: TypeTable): Graph {
  const { outputs, producer, consumers } = indexGraph(graph);
  const replaced = new Map<string, string>();
  const resolve = (name: string): string => replaced.get(name) ?? name;
  const gone = new Set<Node>();
  const renamedOutputs = new Map<string, string>();
  for (const node of graph.nodes) {
    if (!passesThrough(node, table, (name) => (consumers.get(name)?.length ?? 0) > 0 || outputs.has(name))) continue;
    const source = resolve(inputName(node));
    const target = outputName(node);
    if (!outputs.has(target)) replaced.set(target, source);
    else {
      const maker = producer.get(source);
      if (!maker || outputs.has(source) || renamedOutputs.has(source)) continue;
      renamedOutputs.set(source, target);
    }
    gone.add(node);
  }
  if (gone.size === 0) return graph;
  const names = new Map<string, string>([...replaced].map(([from, to]) => [from, renamedOutputs.get(to) ?? to]));
  for (const [from, to] of renamedOutputs) names.set(from, to);
  const rest = {
    ...graph,
    nodes: graph.nodes.filter((node) => !gone.has(node)).map((node) => renameOutputs(node, renamedOutputs)),
  };
  const dropped = new Set(names.keys());
  return { ...renameUses(rest, names), valueInfos: graph.valueInfos.filter(({ name }) => !dropped.has(name)) };
}

function renameOutputs(node: Node, names: ReadonlyMap<string, string>): Node {
  if (!node.outputs.some((name) => names.has(name))) return node;
  return { ...node, outputs: node.outputs.map((name) => names.get(name) ?? name) };
}

/** Whether the node's first output equals its first input, and nothing reads its other outputs. */
function passesThrough(node: Node, table: TypeTable, isRead: (name: string) => boolean): boolean {
  if (node.domain !== '' || subgraphs(node).length > 0 || !node.inputs[0] || !node.outputs[0]) return false;
  if (node.outputs.slice(1).some((name) => name !== '' && isRead(name))) return false;
  return RULES.get(node.opType)?.(node, table) ?? false;
}

type Rule = (node: Node, table: TypeTable) => boolean;

const sameShape: Rule = (node, table) => equalShapes(table.typeOf(inputName(node)), table.typeOf(outputName(node)));

const single: Rule = (node) => node.inputs.length === 1;

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['Identity', () => true],
  [
    'Dropout',
    (node, table) => {
      const training = node.inputs[2] ? table.constantOf(node.inputs[2]) : null;
      return !node.inputs[2] || (training !== null && hostNumbers(training)[0] === 0);
    },
  ],
  [
    'Cast',
    (node, table) => {
      const [from, to] = [table.typeOf(inputName(node)), table.typeOf(outputName(node))];
      return from !== null && from.dtype === to?.dtype;
    },
  ],
  [
    'Transpose',
    (node) => {
      const perm = node.attributes.get('perm');
      return perm?.kind === 'ints' && perm.value.every((axis, i) => axis === i);
    },
  ],
  ['Reshape', sameShape],
  ['Flatten', sameShape],
  ['Squeeze', sameShape],
  ['Unsqueeze', sameShape],
  ['Expand', sameShape],
  ['Concat', single],
  ['Sum', single],
  ['Mean', single],
  ['Max', single],
  ['Min', single],
]);

/** Certainly equal: symbols are equal by name, unknown dimensions never. */
function equalShapes(a: TensorType | null, b: TensorType | null): boolean {
  const [from, to] = [a?.shape, b?.shape];
  if (!from || !to || from.length !== to.length) return false;
  return from.every((dim, i) => dim !== null && dim === to[i]);
}
