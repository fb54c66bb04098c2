import { mapSubgraphs, withInitializers } from '../../ir/edit.ts';
import { constantTensor } from '../../ir/constants.ts';
import type { Graph, Model, Tensor } from '../../ir/types.ts';

/**
 * Turns Constant nodes into initializers, in subgraphs as well, so that weights have one form. A Constant whose output
 * is a graph output stays: ONNX Runtime accepts initializers as outputs, but older readers do not.
 */
export function constantsAsInitializers(model: Model): Model {
  const graph = convert(model.graph);
  return graph === model.graph ? model : { ...model, graph };
}

function convert(graph: Graph): Graph {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const moved: Tensor[] = [];
  const nodes = graph.nodes.flatMap((node) => {
    const tensor = constantTensor(node);
    if (!tensor || outputs.has(tensor.name)) return [mapSubgraphs(node, convert)];
    moved.push(tensor);
    return [];
  });
  if (moved.length === 0 && nodes.every((node, i) => node === graph.nodes[i])) return graph;
  return withInitializers({ ...graph, nodes }, moved);
}
