/**
 * 2-D convolution and its two gradients, on every engine.
 *
 * TensorFlow's CPU kernels have both gradients for plain convolutions and for depthwise ones; the WebAssembly engine has only the forward
 * kernels. Everything else (groups, dilation together with strides, all of WebAssembly) uses that each gradient of a
 * convolution is itself a convolution:
 *   dx = dy with zeros between its elements, convolved with the flipped kernel;
 *   dw = x convolved with dy as the kernel, batch and channels swapped, strides and dilations swapped.
 */
import { engine } from '../engine.ts';
import { rawOp } from '../native/raw-op.ts';
import type { AttributeValue } from '../native/raw-op.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';
import { interleave, padSpatial, positions, viewAt } from './window.ts';
import type { Window } from './window.ts';
import type { NamedAttrMap } from '@tensorflow/tfjs';

export interface Geometry extends Window {
  readonly groups: number;
}

/** Kernels take no negative pads: `begins` and `ends` must be >= 0 here. x [n, h, w, g*ci], kernel [kh, kw, ci, g*co]. */
export function forward(x: TfTensor, kernel: TfTensor, geometry: Geometry): TfTensor {
  if (isDepthwise(x, kernel, geometry) && (!engine().native || depthwiseIsNative(geometry))) return depthwise(x, kernel, geometry);
  if (engine().native) return rawOp('Conv2D', [x, kernel], convAttributes(geometry));
  if (geometry.groups === 1) return runConv(x, kernel, geometry);
  const kernels = tf.split(kernel, geometry.groups, 3);
  return tf.concat(tf.split(x, geometry.groups, 3).map((part, i) => runConv(part, kernels[i]!, geometry)), 3);
}

/** dx [n, h, w, g*ci] of `shape`, from dy [n, oh, ow, g*co]. */
export function inputGradient(dy: TfTensor, kernel: TfTensor, shape: readonly number[], geometry: Geometry): TfTensor {
  if (engine().native && gradientsAreNative(geometry)) {
    return rawOp('Conv2DBackpropInput', [tf.tensor1d([...shape], 'int32'), kernel, dy], convAttributes(geometry));
  }
  if (engine().native && shape[3] === geometry.groups && depthwiseIsNative(geometry)) {
    return rawOp('DepthwiseConv2dNativeBackpropInput', [tf.tensor1d([...shape], 'int32'), depthwiseKernel(kernel, geometry), dy], depthwiseAttributes(geometry));
  }
  return inputGradientByConvolution(dy, kernel, shape, geometry);
}

/** dkernel [kh, kw, ci, g*co]. */
export function kernelGradient(x: TfTensor, dy: TfTensor, geometry: Geometry): TfTensor {
  const [, , , channels] = x.shape as [number, number, number, number];
  const shape = [...geometry.kernel, channels / geometry.groups, dy.shape[3]!];
  if (engine().native && gradientsAreNative(geometry)) {
    return rawOp('Conv2DBackpropFilter', [x, tf.tensor1d(shape, 'int32'), dy], convAttributes(geometry));
  }
  if (channels === geometry.groups && channels > 1) return depthwiseKernelGradient(x, dy, shape, geometry);
  return kernelGradientByConvolution(x, dy, geometry);
}

function gradientsAreNative({ groups, dilations }: Geometry): boolean {
  return groups === 1 && (engine().gpu || dilations.every((dilation) => dilation === 1));
}

function isDepthwise(x: TfTensor, kernel: TfTensor, { groups }: Geometry): boolean {
  return groups > 1 && x.shape[3] === groups && kernel.shape[2] === 1;
}

/** TensorFlow's depthwise kernels: no dilation, one stride for both axes. */
function depthwiseIsNative({ strides, dilations }: Geometry): boolean {
  return strides[0] === strides[1] && dilations.every((dilation) => dilation === 1);
}

/** [kh, kw, 1, c*m] -> [kh, kw, c, m], TensorFlow's form. */
function depthwiseKernel(kernel: TfTensor, { groups }: Geometry): TfTensor {
  const [height, width, , out] = kernel.shape as [number, number, number, number];
  return tf.reshape(kernel, [height, width, groups, out / groups]);
}

function depthwise(x: TfTensor, kernel: TfTensor, geometry: Geometry): TfTensor {
  const filter = depthwiseKernel(kernel, geometry);
  if (engine().native) return rawOp('DepthwiseConv2dNative', [x, filter], depthwiseAttributes(geometry));
  return runKernel('DepthwiseConv2dNative', { x, filter }, geometry);
}

function runConv(x: TfTensor, filter: TfTensor, geometry: Geometry): TfTensor {
  return runKernel('Conv2D', { x, filter }, geometry);
}

/** tfjs's public functions refuse strides together with dilations; its kernels do not mind. */
function runKernel(name: string, inputs: { x: TfTensor; filter: TfTensor }, { strides, dilations, begins, ends }: Geometry): TfTensor {
  const pad = [[0, 0], [begins[0]!, ends[0]!], [begins[1]!, ends[1]!], [0, 0]];
  const attributes = { strides: [...strides], dilations: [...dilations], pad, dataFormat: 'NHWC', dimRoundingMode: 'floor' } as unknown as NamedAttrMap;
  return tf.engine().runKernel(name, inputs as never, attributes);
}

function depthwiseAttributes({ strides, dilations, begins, ends }: Geometry): Record<string, AttributeValue> {
  const isPadded = [...begins, ...ends].some((pad) => pad > 0);
  return {
    T: { type: 'float32' },
    strides: { int: [1, ...strides, 1] },
    dilations: { int: [1, ...dilations, 1] },
    padding: { string: isPadded ? 'EXPLICIT' : 'VALID' },
    ...(isPadded && { explicit_paddings: { int: [0, 0, begins[0]!, ends[0]!, begins[1]!, ends[1]!, 0, 0] } }),
    data_format: { string: 'NHWC' },
  };
}

function convAttributes(geometry: Geometry): Record<string, AttributeValue> {
  return { ...depthwiseAttributes(geometry), use_cudnn_on_gpu: { bool: true } };
}

/** dx[i] = sum over k of w[k] * dy[j] where i + begin = j * stride + k * dilation. */
function inputGradientByConvolution(dy: TfTensor, kernel: TfTensor, shape: readonly number[], geometry: Geometry): TfTensor {
  const { groups, strides, dilations, begins } = geometry;
  const [height, width, ci, out] = kernel.shape as [number, number, number, number];
  const flipped = tf.reshape(tf.reverse(kernel, [0, 1]), [height * width, ci, groups, out / groups]);
  const swapped = tf.reshape(tf.transpose(flipped, [0, 3, 2, 1]), [height, width, out / groups, groups * ci]);
  const spread = interleave(dy, strides);
  const reach = [(height - 1) * dilations[0]!, (width - 1) * dilations[1]!];
  const before = reach.map((r, i) => r - begins[i]!);
  const after = reach.map((r, i) => shape[i + 1]! + r - spread.shape[i + 1]! - before[i]!);
  return padAndRun(spread, swapped, before, after, { ...geometry, kernel: [height, width], strides: [1, 1] });
}

/** dw[k] = sum over n and j of x[j * stride + k * dilation - begin] * dy[j]. */
function kernelGradientByConvolution(x: TfTensor, dy: TfTensor, geometry: Geometry): TfTensor {
  const { groups, strides, dilations, begins, kernel } = geometry;
  const [n, height, width, channels] = x.shape as [number, number, number, number];
  const [, oh, ow, out] = dy.shape as [number, number, number, number];
  const xt = tf.reshape(tf.transpose(tf.reshape(x, [n, height * width, groups, channels / groups]), [3, 1, 2, 0]), [channels / groups, height, width, groups * n]);
  const dyt = tf.reshape(tf.transpose(tf.reshape(dy, [n, oh * ow, out]), [1, 0, 2]), [oh, ow, n, out]);
  const reach = [(oh - 1) * strides[0]! + 1, (ow - 1) * strides[1]! + 1];
  const after = reach.map((r, i) => (kernel[i]! - 1) * dilations[i]! + r - x.shape[i + 1]! - begins[i]!);
  const swapped = { ...geometry, kernel: [oh, ow], strides: dilations, dilations: strides };
  return tf.transpose(padAndRun(xt, dyt, begins, after, swapped), [1, 2, 0, 3]);
}

function padAndRun(x: TfTensor, kernel: TfTensor, begins: readonly number[], ends: readonly number[], geometry: Geometry): TfTensor {
  const cropped = padSpatial(x, begins.map((pad) => Math.min(pad, 0)), ends.map((pad) => Math.min(pad, 0)));
  return forward(cropped, kernel, { ...geometry, begins: begins.map((pad) => Math.max(pad, 0)), ends: ends.map((pad) => Math.max(pad, 0)) });
}

/** One channel each: dw[k, c, m] = sum over n and positions of the view of x at k times dy. */
function depthwiseKernelGradient(x: TfTensor, dy: TfTensor, shape: readonly number[], geometry: Geometry): TfTensor {
  const { groups } = geometry;
  if (engine().native && depthwiseIsNative(geometry)) {
    const filter = tf.tensor1d([...geometry.kernel, groups, shape[3]! / groups], 'int32');
    return tf.reshape(rawOp('DepthwiseConv2dNativeBackpropFilter', [x, filter, dy], depthwiseAttributes(geometry)), [...shape]);
  }
  const [n, oh, ow, out] = dy.shape as [number, number, number, number];
  const gradient = tf.reshape(dy, [n * oh * ow, groups, out / groups]);
  const padded = padSpatial(x, geometry.begins, geometry.ends);
  const rows = positions(geometry.kernel).map((position) => {
    const view = tf.reshape(viewAt(padded, position, [oh, ow], geometry), [n * oh * ow, groups, 1]);
    return tf.sum(tf.mul(view, gradient), 0);
  });
  return tf.reshape(tf.stack(rows), [...shape]);
}
