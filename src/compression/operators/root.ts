import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';

/** x^(1/p) of x >= 0, with gradient 0 (not infinity) at 0: the norm of a vector of zeros. */
export function rootOf(x: TfTensor, p: number): TfTensor {
  if (p === 1) return x;
  const zero = withoutTape(() => tf.equal(x, 0));
  const safe = tf.where(zero, tf.onesLike(x), x);
  const root = p === 2 ? tf.sqrt(safe) : tf.pow(safe, 1 / p);
  return tf.where(zero, tf.zerosLike(x), root);
}
