/** Batch and layer normalization with their closed gradients. */
import { nth } from '../../ir/checked-access.ts';
import { engine } from '../engine.ts';
import { hasOwnKernels, rawOps } from '../native/raw-op.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';
import { clipped } from './activation.ts';
import type { Clipping } from './activation.ts';
import { saving, withGradient } from './gradient.ts';

export interface BatchNormResult {
  readonly y: TfTensor;
  /** [c], over the batch. Not differentiable: what running statistics are made of. */
  readonly mean: TfTensor;
  /** [c], biased (divided by the number of values). */
  readonly variance: TfTensor;
}

/** What follows a batch normalization: the sum with a shortcut in x's form, then clipping. */
export interface AfterBatchNorm {
  readonly shortcut?: TfTensor;
  readonly clipping?: Clipping;
}

/**
 * x [n, ..., c], scale and bias [c]: (x - mean) / sqrt(variance + epsilon) * scale + bias (Ioffe and Szegedy 2015,
 * algorithm 1).
 */
export function batchNormTraining(
  x: TfTensor,
  scale: TfTensor,
  bias: TfTensor,
  epsilon: number,
  after: AfterBatchNorm = {},
): BatchNormResult {
  const isPlainSum = !after.shortcut || after.shortcut.shape.join() === x.shape.join();
  if (hasOwnKernels() && scale.size > 0 && isPlainSum) return ownBatchNorm(x, scale, bias, epsilon, after);
  const result = plainBatchNorm(x, scale, bias, epsilon);
  return { ...result, y: afterBatchNorm(result.y, after) };
}

/** The same operation by operation. */
export function afterBatchNorm(y: TfTensor, { shortcut, clipping }: AfterBatchNorm): TfTensor {
  const sum = shortcut ? tf.add(y, shortcut) : y;
  return clipping ? clipped(sum, clipping) : sum;
}

/**
 * One kernel forward and one back, with what follows (native/batch-norm.cc): TensorFlow's take three
 * passes over memory more each, and one for each thing that follows.
 */
function ownBatchNorm(
  x: TfTensor,
  scale: TfTensor,
  bias: TfTensor,
  epsilon: number,
  { shortcut, clipping }: AfterBatchNorm,
): BatchNormResult {
  const { low, high, passesAtLow } = clipping ?? { low: -Infinity, high: Infinity, passesAtLow: true };
  const attributes = {
    epsilon: { float: epsilon },
    low: { float: low },
    high: { float: high },
    passes_at_low: { float: passesAtLow ? 1 : 0 },
  };
  const statistics: TfTensor[] = [];
  const y = withGradient([x, scale, bias, shortcut], (a, s, b, other) => {
    const [value, mean, variance, rstd] = rawOps('LatheBatchNorm', [a, s, b, other ?? nothing()], attributes, 4);
    statistics.push(tf.keep(tf.clone(mean)), tf.keep(variance));
    return saving({
      value,
      saved: [a, other ? value : nothing(), s, b, mean, rstd],
      gradient: (dy, [input, output, ...rest]) =>
        rawOps('LatheBatchNormGrad', [input, dy, output, ...rest], attributes, 4).slice(0, other ? 4 : 3),
    });
  });
  const [mean, variance] = statistics.map(release);
  return { y, mean: mean!, variance: variance! };
}

/** An input that is absent. */
export const nothing = (): TfTensor => tf.tensor1d([], 'float32');

function plainBatchNorm(x: TfTensor, scale: TfTensor, bias: TfTensor, epsilon: number): BatchNormResult {
  const channels = nth(x.shape, -1);
  const rows = x.size / channels;
  const statistics: TfTensor[] = [];
  const normalize = engine().native ? nativeBatchNorm : portableBatchNorm;
  const image = x.rank === 4 ? x : tf.reshape(x, [rows, 1, 1, channels]);
  const y = withGradient([image, scale, bias], (a, s, b) => normalize(a, s, b, epsilon, rows, statistics));
  const [mean, variance] = statistics.map(release);
  return { y: x.rank === 4 ? y : tf.reshape(y, x.shape), mean: mean!, variance: variance! };
}

/** Moves a tensor that was kept beyond its scope into the present scope. */
export function release(kept: TfTensor): TfTensor {
  const tensor = tf.clone(kept);
  kept.dispose();
  return tensor;
}

type Normalize = (
  x: TfTensor,
  scale: TfTensor,
  bias: TfTensor,
  epsilon: number,
  rows: number,
  statistics: TfTensor[],
) => ReturnType<Parameters<typeof withGradient>[1]>;

/** On GPUs. */
const nativeBatchNorm: Normalize = (x, scale, bias, epsilon, rows, statistics) => {
  const attributes = {
    T: { type: 'float32' },
    U: { type: 'float32' },
    epsilon: { float: epsilon },
    data_format: { string: 'NHWC' },
    is_training: { bool: true },
  } as const;
  const none = nothing();
  const [y, mean, unbiased, ...reserved] = rawOps(
    'FusedBatchNormV3',
    [x, scale, bias, none, none],
    { ...attributes, exponential_avg_factor: { float: 1 } },
    6,
  );
  statistics.push(tf.keep(mean), tf.keep(rows > 1 ? tf.mul(unbiased, (rows - 1) / rows) : tf.clone(unbiased)));
  return saving({
    value: y,
    saved: [x, scale, ...reserved],
    gradient: (dy, saved) => rawOps('FusedBatchNormGradV3', [dy, ...saved], attributes, 5).slice(0, 3),
  });
};

const portableBatchNorm: Normalize = (x, scale, bias, epsilon, rows, statistics) => {
  const axes = [0, 1, 2];
  const { mean, variance } = tf.moments(x, axes);
  statistics.push(tf.keep(mean), tf.keep(variance));
  const inverse = tf.rsqrt(tf.add(variance, epsilon));
  const normalized = tf.mul(tf.sub(x, mean), inverse);
  return saving({
    value: tf.add(tf.mul(normalized, scale), bias),
    saved: [normalized, scale, inverse],
    gradient: (dy, saved) => {
      const [xHat, s, rstd] = saved as [TfTensor, TfTensor, TfTensor];
      const dBias = tf.sum(dy, axes);
      const dScale = tf.sum(tf.mul(dy, xHat), axes);
      const centered = tf.sub(dy, tf.add(tf.div(dBias, rows), tf.mul(xHat, tf.div(dScale, rows))));
      return [tf.mul(centered, tf.mul(s, rstd)), dScale, dBias];
    },
  });
};

/** (x - mean) / sqrt(variance + epsilon) * scale + bias over the last axis, with given statistics. */
export function batchNormInference(
  x: TfTensor,
  scale: TfTensor,
  bias: TfTensor,
  mean: TfTensor,
  variance: TfTensor,
  epsilon: number,
): TfTensor {
  const factor = tf.mul(scale, tf.rsqrt(tf.add(variance, epsilon)));
  return tf.add(tf.mul(x, factor), tf.sub(bias, tf.mul(mean, factor)));
}

/** Normalizes over `axes`, then scales and shifts (scale and bias broadcast against x) (Ba et al. 2016). */
export function layerNorm(
  x: TfTensor,
  scale: TfTensor,
  bias: TfTensor | null,
  axes: readonly number[],
  epsilon: number,
): TfTensor {
  const last = x.shape.slice(x.rank - axes.length);
  const isLast =
    axes.every((axis, i) => (axis + x.rank) % x.rank === x.rank - axes.length + i) &&
    scale.shape.join() === last.join() &&
    (!bias || bias.shape.join() === last.join());
  if (hasOwnKernels() && isLast && scale.size > 0) return nativeLayerNorm(x, scale, bias ?? tf.zeros(last), epsilon);
  const y = tf.mul(standardize(x, axes, epsilon), scale);
  return bias ? tf.add(y, bias) : y;
}

/** Over the last axes, which are those of scale and bias. */
function nativeLayerNorm(x: TfTensor, scale: TfTensor, bias: TfTensor, epsilon: number): TfTensor {
  return withGradient([x, scale, bias], (input, s, b) => {
    const [y, mean, rstd] = rawOps('LatheLayerNorm', [input, s, b], { epsilon: { float: epsilon } }, 3);
    return saving({
      value: y,
      saved: [input, s, mean, rstd],
      gradient: (dy, [a, scaled, ...statistics]) => rawOps('LatheLayerNormGrad', [a, dy, scaled, ...statistics], {}, 3),
    });
  });
}

/** (x - mean) / sqrt(variance + epsilon) over `axes`; dx = rstd * (dy - mean(dy) - y * mean(dy * y)). */
function standardize(x: TfTensor, axes: readonly number[], epsilon: number): TfTensor {
  const over = [...axes];
  return withGradient([x], (input) => {
    const centered = tf.sub(input, tf.mean(input, over, true));
    const rstd = tf.rsqrt(tf.add(tf.mean(tf.square(centered), over, true), epsilon));
    const value = tf.mul(centered, rstd);
    return saving({
      value,
      saved: [value, rstd],
      gradient: (dy, [y, inverse]) => {
        const along = tf.mul(y, tf.mean(tf.mul(dy, y), over, true));
        return [tf.mul(inverse, tf.sub(tf.sub(dy, tf.mean(dy, over, true)), along))];
      },
    });
  });
}
