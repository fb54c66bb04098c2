/**
 * Scaled dot-product attention (Vaswani et al. 2017, equation 1): one kernel where the engine has it
 * (docs/decisions/attention.md).
 */
import { nth } from '../../ir/checked-access.ts';
import { engine } from '../engine.ts';
import { hasOwnKernels, rawOps } from '../native/raw-op.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';
import { softmax } from './activation.ts';
import { withGradient } from './gradient.ts';

/** Where a tensor of rank 4 has its axes: permuted by it, it is [batch, heads, tokens, features]. */
export type HeadOrder = readonly [number, number, number, number];

export const HEADS_FIRST: HeadOrder = [0, 1, 2, 3];
/** [batch, tokens, heads, features]: what projections give, their features seen as heads. */
export const TOKENS_FIRST: HeadOrder = [0, 2, 1, 3];

export interface AttentionOptions {
  readonly scale: number;
  /** Added to the scaled scores: [b, n, queries, keys], of the first three any may be 1. */
  readonly mask: TfTensor | null;
  /** A gradient flows into the mask. It has the scores' size, so it costs what the kernel spares otherwise. */
  readonly maskLearns: boolean;
  /** Of the operands, and of the result. */
  readonly orders: { readonly q: HeadOrder; readonly k: HeadOrder; readonly v: HeadOrder; readonly y: HeadOrder };
}

/**
 * Features of a query and a value together. Beyond, products outweigh all else, and TensorFlow's are as fast: with 256
 * + 256 the kernel takes 2 % longer.
 */
const MAX_FEATURES = 320;
/**
 * The kernel gives each thread whole heads. The least share of the threads' time that they must use: one head on two
 * threads takes 1.5 times as long ...
 */
const MIN_UTILIZATION = 0.75;
/** ... but for so few products TensorFlow would not use two either. */
const MAX_SMALL_PRODUCTS = 2 ** 21;

/** softmax(q k' * scale + mask) v, head by head; batch and heads of q, k and v are equal. */
export function attention(q: TfTensor, k: TfTensor, v: TfTensor, options: AttentionOptions): TfTensor {
  return hasOwnKernels() && suitsKernel(q, k, v, options)
    ? nativeAttention(q, k, v, options)
    : composedAttention(q, k, v, options);
}

function suitsKernel(q: TfTensor, k: TfTensor, v: TfTensor, { mask, orders }: AttentionOptions): boolean {
  const isFloat = [q, k, v, ...(mask ? [mask] : [])].every(({ dtype }) => dtype === 'float32');
  const isWhole = Object.values(orders).every((order) => order[3] === 3);
  const features = nth(q.shape, 3) + nth(v.shape, 3);
  const heads = nth(q.shape, orders.q[0]) * nth(q.shape, orders.q[1]);
  const { threads } = engine();
  const busy = heads / (threads * Math.ceil(heads / threads));
  const products = heads * nth(q.shape, orders.q[2]) * nth(k.shape, orders.k[2]) * features;
  return isFloat && isWhole && features <= MAX_FEATURES && (busy >= MIN_UTILIZATION || products <= MAX_SMALL_PRODUCTS);
}

function nativeAttention(
  q: TfTensor,
  k: TfTensor,
  v: TfTensor,
  { scale, mask, maskLearns, orders }: AttentionOptions,
): TfTensor {
  const learns = maskLearns && mask !== null;
  const common = {
    scale: { float: scale },
    q_perm: { int: orders.q },
    k_perm: { int: orders.k },
    v_perm: { int: orders.v },
    y_perm: { int: orders.y },
  };
  const keeps = isRecording();
  const bias = mask ?? tf.tensor1d([], 'float32');
  return withGradient(learns ? [q, k, v, bias] : [q, k, v], (...operands) => {
    const [y, ...shares] = rawOps(
      'LatheAttention',
      learns ? operands : [...operands, bias],
      { ...common, keeps_shares: { bool: keeps } },
      3,
    );
    const gradient = (dy: TfTensor, saved: readonly TfTensor[]): TfTensor[] => {
      const [dq, dk, dv, dMask] = rawOps(
        'LatheAttentionGrad',
        [...saved, dy],
        { ...common, mask_gradient: { bool: learns } },
        4,
      );
      return [dq, dk, dv, ...(learns ? [summedTo(dMask, bias.shape)] : [])];
    };
    return { value: y, saved: [...operands.slice(0, 3), ...shares], gradient };
  });
}

/**
 * Whether tfjs notes what is computed, to differentiate it: only then are the shares of the softmax worth their memory.
 */
function isRecording(): boolean {
  return tf.engine().state.gradientDepth > 0;
}

/** Sums over the axes along which a mask was the same. */
function summedTo(x: TfTensor, shape: readonly number[]): TfTensor {
  const axes = shape.flatMap((dim, i) => (dim === 1 && x.shape[i] !== 1 ? [i] : []));
  return axes.length === 0 ? x : tf.sum(x, axes, true);
}

/** The same of single operations, on any engine. */
export function composedAttention(
  q: TfTensor,
  k: TfTensor,
  v: TfTensor,
  { scale, mask, orders }: AttentionOptions,
): TfTensor {
  const [query, key, value] = [byHead(q, orders.q), byHead(k, orders.k), byHead(v, orders.v)];
  const scores = tf.matMul(tf.mul(query, scale), key, false, true);
  const y = tf.matMul(softmax(mask ? tf.add(scores, mask) : scores), value);
  return byHead(y, inverseOrder(orders.y));
}

function byHead(x: TfTensor, order: HeadOrder): TfTensor {
  return order.every((axis, i) => axis === i) ? x : tf.transpose(x, [...order]);
}

export function inverseOrder(order: HeadOrder): HeadOrder {
  const inverse: [number, number, number, number] = [0, 0, 0, 0];
  order.forEach((axis, i) => {
    inverse[axis] = i;
  });
  return inverse;
}
