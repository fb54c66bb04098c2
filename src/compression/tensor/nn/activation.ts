import { engine } from '../engine.ts';
import { rawOp } from '../native/raw-op.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';
import { withGradient } from './gradient.ts';

const FLOAT = { T: { type: 'float32' } } as const;

/** max(x, 0). Its gradient takes one pass with TensorFlow's ReluGrad; tfjs makes a mask, casts and multiplies. */
export function relu(x: TfTensor): TfTensor {
  if (!engine().native || x.dtype !== 'float32') return tf.relu(x);
  return withGradient([x], (input) => {
    const value = rawOp('Relu', [input], FLOAT);
    return { value, saved: [value], gradient: (dy, [y]) => [rawOp('ReluGrad', [dy, y!], FLOAT)] };
  });
}

/** x [..., c] + bias [c]. */
export function biasAdd(x: TfTensor, bias: TfTensor): TfTensor {
  if (!engine().native) return tf.add(x, bias);
  return withGradient([x, bias], (input, b) => ({
    value: rawOp('BiasAdd', [input, b], { ...FLOAT, data_format: { string: 'NHWC' } }),
    saved: [],
    gradient: (dy) => [dy, rawOp('BiasAddGrad', [dy], { ...FLOAT, data_format: { string: 'NHWC' } })],
  }));
}
