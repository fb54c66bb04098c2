import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';

export interface BatchNormResult {
  readonly y: TfTensor;
  /** [c], over the batch. */
  readonly mean: TfTensor;
  /** [c], biased (divided by the number of values). */
  readonly variance: TfTensor;
}

/** x [n, ..., c], scale and bias [c]. */
export function batchNormTraining(x: TfTensor, scale: TfTensor, bias: TfTensor, epsilon: number): BatchNormResult {
  const axes = x.shape.slice(0, -1).map((_, axis) => axis);
  const { mean, variance } = tf.moments(x, axes);
  return { y: batchNormInference(x, scale, bias, mean, variance, epsilon), mean, variance };
}

/** (x - mean) / sqrt(variance + epsilon) * scale + bias, over the last axis. */
export function batchNormInference(x: TfTensor, scale: TfTensor, bias: TfTensor, mean: TfTensor, variance: TfTensor, epsilon: number): TfTensor {
  const factor = tf.mul(scale, tf.rsqrt(tf.add(variance, epsilon)));
  return tf.add(tf.mul(x, factor), tf.sub(bias, tf.mul(mean, factor)));
}

/** Normalizes over `axes`, then scales and shifts (scale and bias broadcast against x). */
export function layerNorm(x: TfTensor, scale: TfTensor, bias: TfTensor | null, axes: readonly number[], epsilon: number): TfTensor {
  const { mean, variance } = tf.moments(x, [...axes], true);
  const y = tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, epsilon))), scale);
  return bias ? tf.add(y, bias) : y;
}
