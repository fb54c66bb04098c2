/** Broadcasting and its adjoint. */
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';

/** Sums the axes along which a tensor of this shape was repeated: the gradient of broadcasting. */
export function sumTo(x: TfTensor, shape: readonly number[]): TfTensor {
  const lead = x.rank - shape.length;
  const axes = x.shape.flatMap((size, axis) => (axis < lead || (shape[axis - lead] === 1 && size !== 1) ? [axis] : []));
  const summed = axes.length > 0 ? tf.sum(x, axes, true) : x;
  return tf.reshape(summed, [...shape]);
}
