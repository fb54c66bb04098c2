/**
 * Access to lists, maps and optional values that must have what is asked for: what is absent becomes an error that
 * names it, not an `undefined` further on. Which function: `nth` for what a node or model should have given in full,
 * `elementAt` where the message names one element (`axis 2 does not exist`), `itemOf` where it names the list.
 */
import { GraphError, malformed, nodeLabel } from './graph-error.ts';
import type { Node } from './types.ts';

/**
 * The element at `index` of a list that a node should have given in full: sizes of a shape, strides and pads of a
 * window, operands. Negative indices count from the end. Not for loops over the elements of tensors.
 * @throws GraphError where the list is shorter
 */
export function nth<T>(list: ArrayLike<T>, index: number): T {
  const value = list[index < 0 ? index + list.length : index];
  if (value === undefined)
    throw new GraphError(
      `a list of ${list.length} has no element ${index}; ` +
        'check the ranks of the inputs and the lengths of the attributes',
    );
  return value;
}

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
 * The item at `index`, counted from the end where negative.
 * @param what the list, for the message: `strides`, `the shape of the kernel`
 * @throws Error where there is none
 */
export function itemOf<T>(values: readonly T[], index: number, what: string): T {
  const value = values.at(index);
  if (value === undefined) throw new Error(`${what} has ${values.length} elements, none at ${index}`);
  return value;
}

/**
 * The value of a key that must exist.
 * @param what one entry, for the message: `weight`, `output`
 * @throws RangeError where the map lacks it.
 */
export function entryOf<Key extends string | number, T>(map: ReadonlyMap<Key, T>, key: Key, what: string): T {
  const found = map.get(key);
  if (found === undefined) throw new RangeError(`${what} ${JSON.stringify(key)} does not exist`);
  return found;
}

/** The value, which must exist. @throws Error that names it */
export function existing<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new Error(`${what} is missing`);
  return value;
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

/** A list of exactly `N` elements; of any number where `N` is not a literal. */
export type Tuple<T, N extends number, Built extends T[] = []> = number extends N
  ? T[]
  : Built['length'] extends N
    ? Built
    : Tuple<T, N, [...Built, T]>;

function hasLength<T, N extends number>(values: readonly T[], length: N): values is readonly T[] & Tuple<T, N> {
  return values.length === length;
}

/** A copy of the values as a tuple. @throws Error where there are fewer or more of them */
export function tupleOf<T, N extends number>(values: readonly T[], length: N, what: string): Tuple<T, N> {
  const copy = [...values];
  if (hasLength(copy, length)) return copy;
  throw new Error(`${what} has ${values.length} elements; it must have ${length}`);
}

/** A tuple or list of the length of `T` with other elements. */
export type Mapped<T extends readonly unknown[], U> = { -readonly [K in keyof T]: U };

/** `values.map(apply)` that keeps the length of a tuple. */
export function mapTuple<const T extends readonly unknown[], U>(
  values: T,
  apply: (value: T[number], index: number) => U,
): Mapped<T, U> {
  return values.map(apply) as Mapped<T, U>;
}
