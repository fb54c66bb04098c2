import { GraphError } from './graph-error.ts';

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
