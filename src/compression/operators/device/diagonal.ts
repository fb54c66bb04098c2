/** Positions along diagonals. */
import { sizeOf, stridesOf } from '../shapes.ts';

/** Row-major offsets into `shape` of the elements whose axis i is at index `axes[i]` of a result of `sizes`. */
export function offsetsOf(shape: readonly number[], axes: readonly number[], sizes: readonly number[]): Int32Array {
  const strides = stridesOf(shape);
  const steps = sizes.map((_, axis) => axes.reduce((sum, target, i) => (target === axis ? sum + strides[i]! : sum), 0));
  const own = stridesOf(sizes);
  return Int32Array.from({ length: sizeOf(sizes) }, (_, flat) => steps.reduce((sum, step, axis) => sum + step * (Math.floor(flat / own[axis]!) % sizes[axis]!), 0));
}
