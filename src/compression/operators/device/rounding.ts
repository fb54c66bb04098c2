/** The 16-bit floats on a device that computes in 32. */
import { withGradient } from '../../tensor/nn/gradient.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';

/** x as float16 or bfloat16 hold it, to nearest; the gradient passes through as if nothing had been rounded. */
export function roundTo16(x: TfTensor, dtype: 'float16' | 'bfloat16'): TfTensor {
  return withGradient([x], (v) => ({
    value: dtype === 'float16' ? toFloat16(v) : toBfloat16(v),
    saved: [],
    gradient: (dy) => [dy],
  }));
}

/** 11 bits of mantissa; below 2^-14 multiples of 2^-24; beyond 65504 infinity. */
function toFloat16(x: TfTensor): TfTensor {
  const magnitude = tf.abs(x);
  const small = tf.sub(tf.add(x, 0.75), 0.75); // float32's spacing at 0.75 is 2^-24
  const normal = split(x, 13);
  const rounded = tf.where(tf.less(magnitude, 2 ** -14), small, normal);
  return tf.where(tf.less(magnitude, 65520), rounded, tf.where(tf.isNaN(x), x, tf.mul(tf.sign(x), Infinity)));
}

/** 8 bits of mantissa. Beyond 2^100, where the split would overflow, values stay as they are. */
function toBfloat16(x: TfTensor): TfTensor {
  return tf.where(tf.less(tf.abs(x), 2 ** 100), split(x, 16), x);
}

/** The upper 24 - bits bits of each float32 (Dekker, 1971; Veltkamp's constant). */
function split(x: TfTensor, bits: number): TfTensor {
  const scaled = tf.mul(x, 2 ** bits + 1);
  return tf.sub(scaled, tf.sub(scaled, x));
}
