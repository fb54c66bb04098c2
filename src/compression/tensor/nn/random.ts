/**
 * Random tensors that are functions of a seed: a compiled step takes the seed as an input and draws anew every time.
 */
import { engine } from '../engine.ts';
import { rawOp } from '../native/raw-op.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';

/**
 * Uniform [0, 1) of this shape: the same for the same seed (int32 [2]) and salt (an integer that tells the draws of one
 * step apart).
 */
export function statelessUniform(shape: readonly number[], seed: TfTensor, salt: number): TfTensor {
  return engine().native ? nativeDraw('StatelessRandomUniform', shape, seed, salt) : portableUniform(shape, seed, salt);
}

/** Normal with mean 0 and variance 1. */
export function statelessNormal(shape: readonly number[], seed: TfTensor, salt: number): TfTensor {
  if (engine().native) return nativeDraw('StatelessRandomNormal', shape, seed, salt);
  // Box and Muller (1958); 1 - u lies in (0, 1], whose logarithm is finite.
  return tf.tidy(() => {
    const radius = tf.sqrt(tf.mul(-2, tf.log(tf.sub(1, portableUniform(shape, seed, 2 * salt)))));
    return tf.mul(radius, tf.cos(tf.mul(2 * Math.PI, portableUniform(shape, seed, 2 * salt + 1))));
  });
}

function nativeDraw(op: string, shape: readonly number[], seed: TfTensor, salt: number): TfTensor {
  return tf.tidy(() => {
    const mixed = tf.add(seed, tf.tensor1d([salt | 0, Math.imul(salt, 0x9e3779b1)], 'int32'));
    const dims = tf.tensor1d([...shape], 'int32');
    return rawOp(op, [dims, mixed], { dtype: { type: 'float32' }, T: { type: 'int32' }, Tseed: { type: 'int32' } });
  });
}

function portableUniform(shape: readonly number[], seed: TfTensor, salt: number): TfTensor {
  const [first = 0, second = 0] = seed.dataSync() as Int32Array;
  const mixed = Math.imul(Math.imul(first, 0x85ebca6b) ^ second, 0xc2b2ae35) ^ Math.imul(salt + 1, 0x9e3779b1);
  return tf.randomUniform([...shape], 0, 1, 'float32', mixed);
}
