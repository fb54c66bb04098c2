/** The rest of an array that lost some of its elements. */
import type { StoredArray } from './addresses.ts';
import { refuse, type NewArray } from './new-array.ts';

/**
 * The elements that stay, as an array: along each axis the indices of which anything stays.
 * @throws LatheError `unsupported-operator` where they leave holes.
 */
export function selectRemaining(
  { place, dims }: Pick<StoredArray, 'place' | 'dims'>,
  values: Float32Array,
  stays: (index: number) => boolean,
): NewArray {
  const strides = dims.map((_, axis) => dims.slice(axis + 1).reduce((a, d) => a * d, 1));
  const used = dims.map((size) => new Uint8Array(size));
  const left: number[] = [];
  for (let i = 0; i < values.length; i++) {
    if (!stays(i)) continue;
    left.push(i);
    dims.forEach((size, axis) => {
      used[axis]![Math.floor(i / strides[axis]!) % size] = 1;
    });
  }
  const sizes = used.map((indices) => indices.reduce((sum, one) => sum + one, 0));
  if (sizes.reduce((a, d) => a * d, 1) !== left.length)
    throw refuse(place, 'its remaining channels do not form an array');
  return { dims: sizes, values: Float32Array.from(left, (i) => values[i]!) };
}
