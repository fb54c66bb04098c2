/** Reductions whose gradient tfjs lacks or has wrong at the edges. */
import { nth } from '../../ir/checked-access.ts';
import { saving, withGradient } from '../../tensor/nn/gradient.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';

/** Greatest element over the axes (kept as ones); equal ones share the gradient. */
export function reduceMax(x: TfTensor, axes: readonly number[]): TfTensor {
  return withGradient([x], (v) => {
    const value = tf.max(v, [...axes], true);
    return saving({
      value,
      saved: [v, value],
      gradient: (dy, [p, top]) => {
        const ties = tf.cast(tf.equal(p, top), 'float32');
        return [tf.mul(ties, tf.div(dy, tf.sum(ties, [...axes], true)))];
      },
    });
  });
}

export function reduceMin(x: TfTensor, axes: readonly number[]): TfTensor {
  return tf.neg(reduceMax(tf.neg(x), axes));
}

/**
 * Product over the axes (kept as ones). The gradient of an element is the product of all others: right where some are
 * zero, too.
 */
export function reduceProduct(x: TfTensor, axes: readonly number[]): TfTensor {
  const kept = x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const rest = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const order = [...rest, ...axes];
  const count = axes.reduce((n, axis) => n * nth(x.shape, axis), 1);
  if (x.size === 0) return tf.ones(kept);
  const rows = tf.reshape(tf.transpose(x, order), [x.size / count, count]);
  const product = withGradient([rows], (v) =>
    saving({
      value: tf.prod(v, 1, true),
      saved: [v],
      gradient: (dy, [p]) => [tf.mul(dy, tf.mul(cumulativeProduct(p, true, false), cumulativeProduct(p, true, true)))],
    }),
  );
  return tf.reshape(product, kept);
}

/**
 * Running products along the last axis of x [m, n], by doubling strides (Hillis and Steele, 1986): log2 n products of
 * whole tensors, differentiable as they are. tfjs has no such kernel on TensorFlow.
 */
export function cumulativeProduct(x: TfTensor, exclusive: boolean, reverse: boolean): TfTensor {
  const n = nth(x.shape, 1);
  const shifted = (v: TfTensor, by: number): TfTensor => {
    const kept = tf.slice(v, [0, reverse ? by : 0], [nth(v.shape, 0), n - by]);
    return tf.pad(kept, [[0, 0], reverse ? [0, by] : [by, 0]], 1);
  };
  if (n === 0) return tf.clone(x);
  let result = exclusive ? shifted(x, 1) : tf.clone(x);
  for (let by = 1; by < n; by *= 2) result = tf.mul(result, shifted(result, by));
  return result;
}

/** log of the sum of exponentials over the axes (kept as ones), shifted by the greatest so that nothing overflows. */
export function logSumExp(x: TfTensor, axes: readonly number[]): TfTensor {
  const top = withGradient([x], (v) => {
    const max = tf.max(v, [...axes], true);
    return saving({
      value: tf.where(tf.isFinite(max), max, tf.zerosLike(max)),
      saved: [v],
      gradient: (_, [p]) => [tf.zerosLike(p)],
    });
  });
  return tf.add(tf.log(tf.sum(tf.exp(tf.sub(x, top)), [...axes], true)), top);
}
