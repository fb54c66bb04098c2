/** Sequences, optionals and maps: carried through by formats and passes, never computed. */
import { otherType } from '../formats/onnx/read-type.ts';
import { nodeLabel, printable } from '../ir/graph-error.ts';
import type { Graph, ValueInfo } from '../ir/types.ts';

export interface OtherValue {
  /** The first node that makes or uses the value; '' where there is none. */
  readonly node: string;
  readonly operator: string;
  readonly reason: string;
}

/** The first of these values that is no tensor, or null. */
export function findOtherValue(values: readonly ValueInfo[], graph: Graph): OtherValue | null {
  const value = values.find(({ type }) => type === null || type.dtype === 'undefined');
  if (!value) return null;
  const node = graph.nodes.find(({ inputs, outputs }) => inputs.includes(value.name) || outputs.includes(value.name));
  const reason = `"${printable(value.name)}" is ${otherType(value) ?? 'of no type'}: only tensors are computed`;
  return { node: node ? nodeLabel(node) : '', operator: node?.opType ?? '', reason };
}
