/** Moving between ONNX's order of axes and channels last. */
import { nth } from '../../ir/checked-access.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';

/** [n, c, ...] -> [n, ..., c]. */
export function toChannelsLast(x: TfTensor): TfTensor {
  if (movesNothing(x.shape)) return tf.reshape(x, [nth(x.shape, 0), ...x.shape.slice(2), nth(x.shape, 1)]);
  return tf.transpose(x, lastPermutation(x.rank));
}

/** [n, ..., c] -> [n, c, ...]. */
export function fromChannelsLast(x: TfTensor): TfTensor {
  const dims = toOnnxOrder(x.shape);
  if (movesNothing(dims)) return tf.reshape(x, dims);
  return tf.transpose(x, [0, x.rank - 1, ...x.shape.slice(2).map((_, i) => i + 1)]);
}

/** Dimensions [n, ..., c] as [n, c, ...]. */
export function toOnnxOrder(shape: readonly number[]): number[] {
  return [nth(shape, 0), nth(shape, -1), ...shape.slice(1, -1)];
}

/** The permutation that moves channels last. */
export function lastPermutation(rank: number): number[] {
  return [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];
}

/** One channel, or one position: both layouts have the elements in the same order. `dims` in ONNX order. */
export function movesNothing(dims: readonly (number | string | null)[]): boolean {
  return dims[1] === 1 || dims.slice(2).every((dim) => dim === 1);
}
