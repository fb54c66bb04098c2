/**
 * Cuts a network into a chain of stages wherever a single value carries everything computed so far, as between the
 * residual blocks of a ResNet or the layers of a transformer. (Articulation points of the graph, found by counting the
 * live values.)
 */
import { findOperator } from '../operators/registry.ts';
import { topologicalOrder, usedNames } from '../ir/edit.ts';
import { opsetOf } from './infer.ts';
import type { Graph, Node } from '../ir/types.ts';

export interface Stage {
  /** The value at which it begins; null: the model's inputs. */
  readonly input: string | null;
  /** The value at which it ends. */
  readonly output: string;
  /** The nodes on the data's path, in order. */
  readonly nodes: readonly Node[];
  /** Whether it holds a kernel or an embedding. */
  readonly weighted: boolean;
}

/** Operators that return sizes of data, not data. */
const SIZES: ReadonlySet<string> = new Set(['Shape', 'Size']);

/**
 * The stages in the order of the data; the last one ends with the last output. Functions must be inlined, weights
 * initializers.
 */
export function stagesOf(graph: Graph, opsets: ReadonlyMap<string, number>): Stage[] {
  const flow = dataFlow(graph, opsets);
  const stages: Stage[] = [];
  const alive = new Set<string>();
  let nodes: Node[] = [];
  let input: string | null = null;
  const close = (output: string): void => {
    stages.push({ input, output, nodes, weighted: nodes.some((node) => flow.weighted.has(node)) });
    [nodes, input] = [[], output];
  };
  flow.nodes.forEach((node, i) => {
    nodes.push(node);
    for (const name of node.outputs) if (flow.lastUse.has(name)) alive.add(name);
    for (const name of usedNames(node)) if (flow.lastUse.get(name) === i) alive.delete(name);
    const [only] = alive;
    if (only !== undefined && alive.size === 1 && only !== input) close(only);
  });
  const last = nodes.at(-1)?.outputs[0];
  if (last) close(last);
  return stages;
}

/** Joins each stage with weights and the ones after it that have none: a layer with its activation and pooling. */
export function layersOf(stages: readonly Stage[]): Stage[] {
  const layers: Stage[] = [];
  for (const stage of stages) {
    const last = layers.at(-1);
    if (stage.weighted || !last) layers.push(stage);
    else layers[layers.length - 1] = { ...last, output: stage.output, nodes: [...last.nodes, ...stage.nodes] };
  }
  return layers;
}

interface DataFlow {
  /** Nodes on the data's path from the first weight on, in topological order. */
  readonly nodes: readonly Node[];
  readonly weighted: ReadonlySet<Node>;
  /** By value that such a node computes, the position of its last reader. */
  readonly lastUse: ReadonlyMap<string, number>;
}

function dataFlow(graph: Graph, opsets: ReadonlyMap<string, number>): DataFlow {
  const constant = new Set(graph.initializers.keys());
  const carriers = new Set<string>();
  const flow = { nodes: [] as Node[], weighted: new Set<Node>(), lastUse: new Map<string, number>() };
  for (const node of topologicalOrder(graph)) {
    const used = [...usedNames(node)];
    const isConstant = used.every((name) => constant.has(name));
    if (isConstant) for (const name of node.outputs) constant.add(name);
    const weighted = !isConstant && meetsWeight(node, opsets, constant);
    if (!weighted && (SIZES.has(node.opType) || !used.some((name) => carriers.has(name)))) continue;
    if (weighted) flow.weighted.add(node);
    for (const name of used) if (carriers.has(name)) flow.lastUse.set(name, flow.nodes.length);
    for (const name of node.outputs) if (name !== '') carriers.add(name);
    flow.nodes.push(node);
  }
  return flow;
}

function meetsWeight(node: Node, opsets: ReadonlyMap<string, number>, constant: ReadonlySet<string>): boolean {
  const roles = findOperator(node.domain, node.opType, opsetOf(opsets, node))?.weights ?? [];
  return roles.some(
    ({ kind, input }) => (kind === 'kernel' || kind === 'embedding') && constant.has(node.inputs[input] ?? ''),
  );
}
