import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';

export interface PoolOptions {
  /** One number per spatial axis. */
  readonly kernel: readonly number[];
  readonly strides?: readonly number[];
  /** ONNX order: begins, then ends. */
  readonly pads?: readonly number[];
  readonly dilations?: readonly number[];
  /** averagePool: padded positions count as zeros (default: they do not count). */
  readonly countIncludePad?: boolean;
}

/** x [n, ...spatial, c]. */
export function maxPool(x: TfTensor, options: PoolOptions): TfTensor {
  return windows(x, options, -Infinity).reduce((best, next) => tf.maximum(best, next));
}

export function averagePool(x: TfTensor, options: PoolOptions): TfTensor {
  const sum = tf.addN(windows(x, options, 0));
  const counted = options.countIncludePad ? tf.onesLike(x) : tf.onesLike(x);
  const count = options.countIncludePad
    ? tf.scalar(options.kernel.reduce((a, b) => a * b, 1))
    : tf.addN(windows(counted, options, 0));
  return tf.div(sum, count);
}

/** The strided view of the padded input at every kernel position. */
function windows(x: TfTensor, options: PoolOptions, fill: number): TfTensor[] {
  const rank = options.kernel.length;
  const { strides = Array<number>(rank).fill(1), dilations = Array<number>(rank).fill(1), pads = Array<number>(2 * rank).fill(0) } = options;
  const padded = tf.pad(x, [[0, 0], ...options.kernel.map((_, i) => [pads[i]!, pads[i + rank]!] as [number, number]), [0, 0]], fill);
  let positions: number[][] = [[]];
  for (const size of options.kernel) positions = positions.flatMap((p) => Array.from({ length: size }, (_, i) => [...p, i]));
  const out = options.kernel.map((k, i) => Math.floor((padded.shape[i + 1]! - (k - 1) * dilations[i]! - 1) / strides[i]!) + 1);
  return positions.map((position) => {
    const begin = [0, ...position.map((p, i) => p * dilations[i]!), 0];
    const end = [x.shape[0]!, ...out.map((o, i) => begin[i + 1]! + (o - 1) * strides[i]! + 1), x.shape.at(-1)!];
    return tf.stridedSlice(padded, begin, end, [1, ...strides, 1]);
  });
}
