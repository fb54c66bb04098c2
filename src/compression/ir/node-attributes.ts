/** Attributes of a node as plain values. */
import type { Node } from './types.ts';

/** The integer attribute, or `fallback` where the node has none of this name and type. */
export function intAttribute(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'int' ? attribute.value : fallback;
}

/** The float attribute, or `fallback` where the node has none of this name and type. */
export function floatAttribute(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'float' ? attribute.value : fallback;
}
