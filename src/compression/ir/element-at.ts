/** Elements and names that must exist: what is absent becomes an error that names it, not `undefined` further on. */
import { malformed, nodeLabel } from './graph-error.ts';
import type { Node } from './types.ts';

/**
 * The element at `index`, counted from 0.
 * @param what one element, for the message: `axis`, `output`
 * @throws RangeError where the list is shorter.
 */
export function elementAt<T>(list: ArrayLike<T>, index: number, what: string): T {
  const found = list[index];
  if (found === undefined) throw new RangeError(`${what} ${index} does not exist: there are ${list.length}`);
  return found;
}

/**
 * The name of a node's input; '' where it is omitted.
 * @throws LatheError `malformed-model` where the node has fewer inputs.
 */
export function inputName(node: Node, index = 0): string {
  return nameAt(node, 'input', node.inputs, index);
}

/**
 * The name of a node's output; '' where it is omitted.
 * @throws LatheError `malformed-model` where the node has fewer outputs.
 */
export function outputName(node: Node, index = 0): string {
  return nameAt(node, 'output', node.outputs, index);
}

function nameAt(node: Node, kind: 'input' | 'output', names: readonly string[], index: number): string {
  const name = names[index];
  if (name === undefined)
    throw malformed(nodeLabel(node), `its ${kind} ${index} is missing: the node has ${names.length} ${kind}(s)`);
  return name;
}
