/** Bounds for integer inputs: the sizes of the tables that they index. */
import { inputName } from '../ir/checked-access.ts';
import { indexGraph } from '../ir/edit.ts';
import { inferShapes } from './infer.ts';
import type { Model, Node } from '../ir/types.ts';

/** Operators whose input 1 holds indices along one axis of input 0. */
const INDEXED: ReadonlySet<string> = new Set(['Gather', 'GatherElements', 'ScatterElements']);
/** Operators that pass all of an input's values on. */
const PASS_ALL: ReadonlySet<string> = new Set([
  'Cast',
  'Identity',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Transpose',
  'Expand',
  'Concat',
]);
/** Operators that pass some of them on. */
const PASS_SOME: ReadonlySet<string> = new Set(['Slice', 'Gather', 'Split']);
const MAX_DEPTH = 8;

/**
 * Graph inputs that reach indices into a table of known size -> rows of the smallest such table.
 *
 * @param of whose values count: `any`: some of an input's values are indices into that table; `all`: all of them are
 */
export function indexBounds(model: Model, of: 'any' | 'all' = 'any'): Map<string, number> {
  const passes = (opType: string) => PASS_ALL.has(opType) || (of === 'any' && PASS_SOME.has(opType));
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
      else if (passes(node.opType) && (input === 0 || node.opType === 'Concat'))
        for (const output of node.outputs) bound = Math.min(bound, boundOf(output, depth - 1));
    }
    return bound;
  };
  const bounds = model.graph.inputs.map(({ name }) => [name, boundOf(name, MAX_DEPTH)] as const);
  return new Map(bounds.filter(([, bound]) => Number.isFinite(bound)));
}
