/**
 * Optimizer updates of one parameter. On TensorFlow's CPU engine each is one pass over memory
 * (native/kernels.cc); composed of elementwise operations, Adam takes 14 passes. Scalars that change
 * from step to step are tensors [].
 */
import { hasOwnKernels, rawOps } from './native/raw-op.ts';
import { tf } from './tf.ts';
import type { TfTensor } from './tf.ts';

export interface MomentumInput {
  readonly weight: TfTensor;
  readonly velocity: TfTensor;
  readonly gradient: TfTensor;
  readonly rate: TfTensor;
}
export interface MomentumSettings {
  readonly momentum: number;
  readonly nesterov: boolean;
  /** L2: added to the gradient as decay * weight. */
  readonly decay: number;
}

/**
 * g <- g + decay * w; v <- momentum * v + g; w <- w - rate * v (Nesterov, in Sutskever's form: w <- w - rate * (g +
 * momentum * v)).
 */
export function momentumUpdate(
  { weight, velocity, gradient, rate }: MomentumInput,
  { momentum, nesterov, decay }: MomentumSettings,
): { weight: TfTensor; velocity: TfTensor } {
  if (hasOwnKernels()) {
    const attributes = {
      momentum: { float: momentum },
      decay: { float: decay },
      nesterov: { float: nesterov ? 1 : 0 },
    };
    const [w, v] = rawOps('LatheMomentum', [weight, velocity, gradient, rate], attributes, 2);
    return { weight: w, velocity: v };
  }
  const g = withL2(gradient, weight, decay);
  const v = tf.add(tf.mul(velocity, momentum), g);
  const direction = nesterov ? tf.add(g, tf.mul(v, momentum)) : v;
  return { weight: tf.sub(weight, tf.mul(direction, rate)), velocity: v };
}

export interface AdamInput {
  readonly weight: TfTensor;
  readonly mean: TfTensor;
  readonly square: TfTensor;
  readonly gradient: TfTensor;
  /** learning rate / (1 - beta1^t) */
  readonly rate: TfTensor;
  /** 1 / sqrt(1 - beta2^t) */
  readonly root: TfTensor;
  /** AdamW: 1 - learning rate * decay; otherwise 1. */
  readonly keep: TfTensor;
}
export interface AdamSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** L2: added to the gradient as decay * weight. */
  readonly decay: number;
}

/** Kingma and Ba 2014 (arXiv 1412.6980), algorithm 1; with `keep`, Loshchilov and Hutter 2017 (arXiv 1711.05101). */
export function adamUpdate(
  input: AdamInput,
  { beta1, beta2, epsilon, decay }: AdamSettings,
): { weight: TfTensor; mean: TfTensor; square: TfTensor } {
  const { weight, gradient, rate, root, keep } = input;
  if (hasOwnKernels()) {
    const attributes = {
      beta1: { float: beta1 },
      beta2: { float: beta2 },
      epsilon: { float: epsilon },
      decay: { float: decay },
    };
    const [w, m, v] = rawOps(
      'LatheAdam',
      [weight, input.mean, input.square, gradient, rate, root, keep],
      attributes,
      3,
    );
    return { weight: w, mean: m, square: v };
  }
  const g = withL2(gradient, weight, decay);
  const mean = tf.add(tf.mul(input.mean, beta1), tf.mul(g, 1 - beta1));
  const square = tf.add(tf.mul(input.square, beta2), tf.mul(tf.square(g), 1 - beta2));
  const change = tf.div(tf.mul(mean, rate), tf.add(tf.mul(tf.sqrt(square), root), epsilon));
  return { weight: tf.sub(tf.mul(weight, keep), change), mean, square };
}

function withL2(gradient: TfTensor, weight: TfTensor, decay: number): TfTensor {
  return decay > 0 ? tf.add(gradient, tf.mul(weight, decay)) : gradient;
}
