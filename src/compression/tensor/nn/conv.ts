import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';
import type { Tensor4D } from '@tensorflow/tfjs';

export interface ConvOptions {
  /** One number per spatial axis; default 1. */
  readonly strides?: readonly number[];
  /** ONNX order: begins, then ends; default 0. */
  readonly pads?: readonly number[];
  readonly dilations?: readonly number[];
  readonly groups?: number;
}
export interface ConvTransposeOptions extends ConvOptions {
  /** Added to the end of each spatial axis of the output; default 0. */
  readonly outputPadding?: readonly number[];
}

/** x [n, ...spatial, cin], kernel [...k, cin/groups, cout] -> [n, ...spatial', cout]; cross-correlation, as in ONNX. */
export function conv(x: TfTensor, kernel: TfTensor, options: ConvOptions = {}): TfTensor {
  const rank = x.rank - 2;
  const { strides = Array<number>(rank).fill(1), dilations = Array<number>(rank).fill(1), pads = Array<number>(2 * rank).fill(0), groups = 1 } = options;
  const padded = tf.pad(x, [[0, 0], ...strides.map((_, i) => [pads[i]!, pads[i + rank]!] as [number, number]), [0, 0]]);
  if (rank === 1) {
    const y = conv(tf.expandDims(padded, 1), tf.expandDims(kernel, 0), { strides: [1, ...strides], dilations: [1, ...dilations], groups });
    return tf.squeeze(y, [1]);
  }
  if (rank !== 2) throw new Error('3-D convolution is under way');
  const run = (a: TfTensor, k: TfTensor) => tf.conv2d(a as Tensor4D, k as Tensor4D, strides as [number, number], 'valid', 'NHWC', dilations as [number, number]);
  if (groups === 1) return run(padded, kernel);
  const kernels = tf.split(kernel, groups, -1);
  return tf.concat(tf.split(padded, groups, -1).map((part, i) => run(part, kernels[i]!)), -1);
}

/** x [n, ...spatial, cin], kernel [...k, cout/groups, cin] -> [n, ...spatial', cout]: the gradient of `conv` to its input. */
export function convTranspose(x: TfTensor, kernel: TfTensor, options: ConvTransposeOptions = {}): TfTensor {
  const rank = x.rank - 2;
  const ones = Array<number>(rank).fill(1);
  const { strides = ones, dilations = ones, pads = Array<number>(2 * rank).fill(0), outputPadding = Array<number>(rank).fill(0) } = options;
  const size = strides.map((s, i) => s * (x.shape[i + 1]! - 1) + outputPadding[i]! + (kernel.shape[i]! - 1) * dilations[i]! + 1 - pads[i]! - pads[i + rank]!);
  if (rank !== 2) throw new Error('1-D and 3-D transposed convolutions are under way');
  return tf.conv2dTranspose(x as Tensor4D, kernel as Tensor4D, [x.shape[0]!, size[0]!, size[1]!, kernel.shape[2]!], strides as [number, number], 'valid');
}
