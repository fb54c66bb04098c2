/** How large the whole numbers of an input may be: the sizes of the tables that it indexes. */
import { indexGraph } from '../graph/edit.ts';
import { constantTensor } from '../graph/constants.ts';
import type { Model, Node } from '../graph/types.ts';

const PASSES = new Set(['Cast', 'Identity', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Transpose', 'Slice', 'Expand']);

/** Graph inputs that reach the index input of a Gather from a constant table -> rows of the smallest such table. */
export function indexBounds(model: Model): Map<string, number> {
  const { consumers, producer } = indexGraph(model.graph);
  const rowsOf = (node: Node): number | null => {
    const maker = producer.get(node.inputs[0]!);
    const table = model.graph.initializers.get(node.inputs[0]!) ?? (maker ? constantTensor(maker) : null);
    const axis = node.attributes.get('axis');
    return table ? (table.dims.at(axis?.kind === 'int' ? axis.value : 0) ?? null) : null;
  };
  const boundOf = (name: string, depth: number): number => {
    let bound = Infinity;
    for (const { node, input } of depth > 0 ? (consumers.get(name) ?? []) : []) {
      if (node.opType === 'Gather' && input === 1) bound = Math.min(bound, rowsOf(node) ?? Infinity);
      else if (PASSES.has(node.opType) && input === 0) bound = Math.min(bound, boundOf(node.outputs[0]!, depth - 1));
    }
    return bound;
  };
  const bounds = model.graph.inputs.map(({ name }) => [name, boundOf(name, 8)] as const);
  return new Map(bounds.filter(([, bound]) => Number.isFinite(bound)));
}
