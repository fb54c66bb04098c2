import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';

/** Uniform [0, 1) of this shape: the same for the same seed (int32 [2]) and salt. */
export function statelessUniform(shape: readonly number[], seed: TfTensor, salt: number): TfTensor {
  const [a, b] = seed.dataSync() as Int32Array;
  return tf.randomUniform([...shape], 0, 1, 'float32', ((a ?? 0) * 31 + (b ?? 0)) * 31 + salt);
}

/** Normal with mean 0 and variance 1, by Box and Muller. */
export function statelessNormal(shape: readonly number[], seed: TfTensor, salt: number): TfTensor {
  const radius = tf.sqrt(tf.mul(-2, tf.log(tf.sub(1, statelessUniform(shape, seed, 2 * salt)))));
  return tf.mul(radius, tf.cos(tf.mul(2 * Math.PI, statelessUniform(shape, seed, 2 * salt + 1))));
}
