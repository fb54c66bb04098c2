import { mapSubgraphs, subgraphs } from '../../ir/edit.ts';
import { isFloat } from '../../ir/tensor-data.ts';
import type { Graph, Model, Tensor } from '../../ir/types.ts';

/**
 * Moves the float initializers of branches and bodies to the main graph, from which the bodies then capture them, so
 * that they are weights like any other. An initializer whose name occurs elsewhere in the model stays.
 */
export function hoistConstants(model: Model): Model {
  const counts = new Map<string, number>();
  countNames(model.graph, counts);
  const moved: Tensor[] = [];
  const strip = (graph: Graph): Graph => {
    const outputs = new Set(graph.outputs.map(({ name }) => name)); // a body's own output stays its own
    const goes = ({ name, dtype }: Tensor): boolean => isFloat(dtype) && counts.get(name) === 1 && !outputs.has(name);
    const going = [...graph.initializers.values()].filter(goes);
    moved.push(...going);
    const nodes = graph.nodes.map((node) => mapSubgraphs(node, strip));
    if (going.length === 0 && nodes.every((node, i) => node === graph.nodes[i])) return graph;
    return { ...graph, nodes, initializers: new Map([...graph.initializers].filter(([, tensor]) => !goes(tensor))) };
  };
  const nodes = model.graph.nodes.map((node) => mapSubgraphs(node, strip));
  if (moved.length === 0) return model;
  return {
    ...model,
    graph: {
      ...model.graph,
      nodes,
      initializers: new Map([...model.graph.initializers, ...moved.map((tensor) => [tensor.name, tensor] as const)]),
    },
  };
}

/** How often each name is defined: by inputs, initializers and nodes of any graph. */
function countNames(graph: Graph, counts: Map<string, number>): void {
  const add = (name: string): void => {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  };
  for (const { name } of graph.inputs) add(name);
  for (const name of graph.initializers.keys()) add(name);
  for (const node of graph.nodes) {
    node.outputs.forEach(add);
    for (const { graph: inner } of subgraphs(node)) countNames(inner, counts);
  }
}
