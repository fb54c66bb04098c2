import { DRAWING } from '../draws.ts';
import { topologicalOrder, removeUnusedInitializers } from '../../ir/edit.ts';
import { inferShapes, type TypeTable } from '../infer.ts';
import { elementCount, fromHost, toHost } from '../../ir/tensor-data.ts';
import type { HostTensor } from '../../ir/host-tensor.ts';
import type { Operator } from '../../operators/operator.ts';
import type { Graph, Model, Node, Tensor } from '../../ir/types.ts';

export interface FoldOptions {
  /** Nodes for which this is false stay. */
  readonly where?: (node: Node) => boolean;
}

/**
 * Largest folded result, where its inputs are smaller: folding must not blow up the file (Expand, Tile).
 */
const MAX_ALWAYS_FOLDED = 65_536;

/**
 * Computes nodes of the main graph that depend on constants alone, by their operators' exact host form, and uses values
 * that inference knows (shapes of fixed inputs). DequantizeLinear stays: folding it would undo the compression.
 */
export function foldConstants(model: Model, options: FoldOptions = {}): Model {
  const graph = fold(model.graph, inferShapes(model), options);
  return graph === model.graph ? model : { ...model, graph };
}

/** Never folded: noise, effects, and the decompression of weights. */
const KEPT: ReadonlySet<string> = new Set([...DRAWING, 'DequantizeLinear', 'Dropout', 'If', 'Loop', 'Scan']);

function fold(graph: Graph, table: TypeTable, options: FoldOptions): Graph {
  const made = new Map<string, HostTensor>();
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const value = (name: string): HostTensor | null => {
    const tensor = graph.initializers.get(name);
    return made.get(name) ?? table.constantOf(name) ?? (tensor ? toHost(tensor) : null);
  };
  const kept = topologicalOrder(graph).filter((node) => {
    if (KEPT.has(node.opType) || options.where?.(node) === false || node.outputs.some((name) => outputs.has(name)))
      return true;
    const results = known(node, value) ?? computed(node, table, value);
    if (!results) return true;
    node.outputs.forEach((name, i) => {
      const result = results[i];
      if (name !== '' && result) made.set(name, result);
    });
    return false;
  });
  if (made.size === 0) return graph;
  const initializers = new Map<string, Tensor>(graph.initializers);
  for (const [name, host] of made) initializers.set(name, fromHost(name, host));
  return removeUnusedInitializers({ ...graph, nodes: kept, initializers });
}

/** All outputs, where inference already found them. */
function known(node: Node, value: (name: string) => HostTensor | null): (HostTensor | null)[] | null {
  const results = node.outputs.map((name) => (name === '' ? null : value(name)));
  return results.every((result, i) => result !== null || node.outputs[i] === '') ? results : null;
}

function computed(
  node: Node,
  table: TypeTable,
  value: (name: string) => HostTensor | null,
): readonly HostTensor[] | null {
  const operator: Operator | undefined = table.operator(node);
  if (!operator?.host) return null;
  const inputs = node.inputs.map((name) => (name === '' ? null : value(name)));
  if (inputs.some((input, i) => input === null && node.inputs[i] !== '')) return null;
  const maxElements = inputs.reduce((sum, input) => sum + (input ? elementCount(input.dims) : 0), 0);
  if (node.outputs.some((name) => name !== '' && !atMost(table, name, Math.max(maxElements, MAX_ALWAYS_FOLDED))))
    return null;
  return operator.host(inputs, table.info(node));
}

function atMost(table: TypeTable, name: string, maxElements: number): boolean {
  const shape = table.typeOf(name)?.shape;
  return shape?.every((dim) => typeof dim === 'number') === true && elementCount(shape) <= maxElements;
}
