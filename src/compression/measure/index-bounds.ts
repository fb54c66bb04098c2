/** Bounds for integer inputs: the sizes of the tables that they index. */
import { inputName } from '../ir/element-at.ts';
import { indexGraph } from '../ir/edit.ts';
import { inferShapes } from '../graph/infer.ts';
import type { Model, Node } from '../ir/types.ts';

/** Operators whose input 1 holds indices along one axis of input 0. */
const INDEXED: ReadonlySet<string> = new Set(['Gather', 'GatherElements', 'ScatterElements']);
/** Operators that pass an input's values on. */
const PASSES: ReadonlySet<string> = new Set([
  'Cast',
  'Identity',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Transpose',
  'Slice',
  'Expand',
  'Gather',
  'Split',
  'Concat',
]);
const MAX_DEPTH = 8;

/** Graph inputs that reach indices into a table of known size -> rows of the smallest such table. */
export function indexBounds(model: Model): Map<string, number> {
  const { consumers } = indexGraph(model.graph);
  const types = inferShapes(model);
  const rowsOf = (node: Node): number => {
    const axis = node.attributes.get('axis');
    const rows = types.typeOf(inputName(node))?.shape?.at(axis?.kind === 'int' ? axis.value : 0);
    return typeof rows === 'number' ? rows : Infinity;
  };
  const boundOf = (name: string, depth: number): number => {
    let bound = Infinity;
    for (const { node, input } of depth > 0 ? (consumers.get(name) ?? []) : []) {
      if (INDEXED.has(node.opType) && input === 1) bound = Math.min(bound, rowsOf(node));
      else if (PASSES.has(node.opType) && (input === 0 || node.opType === 'Concat'))
        for (const output of node.outputs) bound = Math.min(bound, boundOf(output, depth - 1));
    }
    return bound;
  };
  const bounds = model.graph.inputs.map(({ name }) => [name, boundOf(name, MAX_DEPTH)] as const);
  return new Map(bounds.filter(([, bound]) => Number.isFinite(bound)));
}
