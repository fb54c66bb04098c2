/** Weights and gradients on the host: float32 values by parameter name, in any layout that server and workers share. */
import { entryOf } from '../../ir/checked-access.ts';

export type Tensors = ReadonlyMap<string, Float32Array>;

export function copyTensors(tensors: Tensors): Tensors {
  return new Map([...tensors].map(([name, values]) => [name, values.slice()]));
}

export function zerosLike(tensors: Tensors): Tensors {
  return new Map([...tensors].map(([name, values]) => [name, new Float32Array(values.length)]));
}

/** Of float32 values. */
export function byteLengthOf(tensors: Tensors): number {
  return [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/**
 * The mean of tensors with these weights; the only item unchanged.
 * @throws RangeError if the items differ in their names or sizes
 */
export function weightedMean(items: readonly { readonly tensors: Tensors; readonly weight: number }[]): Tensors {
  const [first, ...others] = items;
  if (!first) throw new RangeError('There is no mean of nothing');
  if (others.length === 0) return first.tensors;
  const total = items.reduce((sum, { weight }) => sum + weight, 0);
  return new Map(
    [...first.tensors].map(([name, { length }]) => {
      const sums = new Float64Array(length);
      for (const { tensors, weight } of items) addScaled(sums, valuesOf(tensors, name, length), weight / total);
      return [name, Float32Array.from(sums)];
    }),
  );
}

/** The values of one tensor, of this length. */
export function valuesOf(tensors: Tensors, name: string, length: number): Float32Array {
  const values = entryOf(tensors, name, 'tensor');
  if (values.length !== length) throw new RangeError(`"${name}" has ${length} values, here ${values.length}`);
  return values;
}

/** sum <- sum + factor * values */
function addScaled(sum: Float64Array, values: Float32Array, factor: number): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += factor * values[i]!;
}
