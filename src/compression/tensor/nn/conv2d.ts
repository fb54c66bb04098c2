/**
 * 2-D convolution and its two gradients, on every engine.
 *
 * TensorFlow's CPU kernels have both gradients for plain convolutions and for depthwise ones; the WebAssembly engine
 * has only the forward kernels. Everything else (groups, dilation together with strides, all of WebAssembly) uses that
 * each gradient of a convolution is itself a convolution:
 *   dx = dy with zeros between its elements, convolved with the flipped kernel;
 *   dw = x convolved with dy as the kernel, batch and channels swapped, strides and dilations swapped.
 */
import { nth } from '../../ir/checked-access.ts';
import { engine } from '../engine.ts';
import { rawOp } from '../native/raw-op.ts';
import type { AttributeValue } from '../native/raw-op.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';
import {
  depthwiseForward,
  depthwiseInputGradient,
  depthwiseKernelGradient,
  isOwnDepthwise,
  kernelsOf,
  ownForward,
  ownInputGradient,
  ownKernelGradient,
} from './own-conv.ts';
import { interleave, padSpatial, positions, viewAt } from './window.ts';
import type { Geometry } from './window.ts';
import type { NamedAttrMap } from '@tensorflow/tfjs';

/**
 * Kernels take no negative pads: `begins` and `ends` must be >= 0 here. x [n, h, w, g*ci], kernel [kh, kw, ci, g*co].
 */
export function forward(x: TfTensor, kernel: TfTensor, geometry: Geometry): TfTensor {
  if (isOwnDepthwise(nth(x.shape, 3), nth(kernel.shape, 3), geometry)) return depthwiseForward(x, kernel, geometry);
  if (isDepthwise(x, kernel, geometry) && (!engine().native || depthwiseIsNative(geometry)))
    return depthwise(x, kernel, geometry);
  const chosen = kernelsOf('forward', x.shape, nth(kernel.shape, 3), geometry);
  if (chosen !== 'tensorflow') return ownForward(chosen, x, kernel, geometry);
  if (engine().native) return rawOp('Conv2D', [x, kernel], convAttributes(geometry, x.shape));
  if (geometry.groups === 1) return runConv(x, kernel, geometry);
  const kernels = tf.split(kernel, geometry.groups, 3);
  return tf.concat(
    tf.split(x, geometry.groups, 3).map((part, i) => runConv(part, nth(kernels, i), geometry)),
    3,
  );
}

/** dx [n, h, w, g*ci] of `shape`, from dy [n, oh, ow, g*co]. */
export function inputGradient(dy: TfTensor, kernel: TfTensor, shape: readonly number[], geometry: Geometry): TfTensor {
  if (!engine().native) return inputGradientByConvolution(dy, kernel, shape, geometry);
  if (isOwnDepthwise(nth(shape, 3), nth(kernel.shape, 3), geometry))
    return depthwiseInputGradient(dy, kernel, shape, geometry);
  const chosen = kernelsOf('inputGradient', shape, nth(kernel.shape, 3), geometry);
  if (chosen !== 'tensorflow') return ownInputGradient(chosen, { dy, kernel, shape, geometry });
  if (gradientsAreNative(geometry)) {
    return withNamedPadding(shape, geometry, (whole, named) =>
      rawOp('Conv2DBackpropInput', [tf.tensor1d([...whole], 'int32'), kernel, dy], convAttributes(named, whole)),
    );
  }
  if (shape[3] === geometry.groups && depthwiseIsNative(geometry)) {
    const filter = depthwiseKernel(kernel, geometry);
    return withNamedPadding(shape, geometry, (whole, named) =>
      rawOp(
        'DepthwiseConv2dNativeBackpropInput',
        [tf.tensor1d([...whole], 'int32'), filter, dy],
        depthwiseAttributes(named, whole),
      ),
    );
  }
  return inputGradientByConvolution(dy, kernel, shape, geometry);
}

/**
 * With explicit pads TensorFlow's gradient kernels take a path that is two to five times as slow: pads that have no
 * name ("SAME", "VALID") are made part of the image, and cut off its gradient. Likewise rows that no window reaches are
 * cut off the image: oneDNN's gradients of 1x1 kernels with strides write beyond their memory where there are some
 * (TensorFlow 2.21).
 */
function withNamedPadding(
  shape: readonly number[],
  geometry: Geometry,
  gradient: (shape: readonly number[], geometry: Geometry) => TfTensor,
): TfTensor {
  const ends = reachedEnds(shape, geometry);
  if (paddingName(geometry, shape) && isSameEnds(ends, geometry)) return gradient(shape, geometry);
  const { begins } = geometry;
  const whole = shape.map((size, axis) => size + (begins[axis - 1] ?? 0) + (ends[axis - 1] ?? 0));
  return padSpatial(
    gradient(whole, unpadded(geometry)),
    begins.map((pad) => -pad),
    ends.map((pad) => -pad),
  );
}

/** As `withNamedPadding`, for the image itself. */
function namedImage(x: TfTensor, geometry: Geometry): [TfTensor, Geometry] {
  const ends = reachedEnds(x.shape, geometry);
  if (paddingName(geometry, x.shape) && isSameEnds(ends, geometry)) return [x, geometry];
  return [padSpatial(x, geometry.begins, ends), unpadded(geometry)];
}

/** Pads at the ends less what no window reaches; negative where rows of the image itself go. */
function reachedEnds(shape: readonly number[], { kernel, strides, dilations, begins, ends }: Geometry): number[] {
  return ends.map(
    (end, i) =>
      end -
      ((nth(shape, i + 1) + nth(begins, i) + end - ((nth(kernel, i) - 1) * nth(dilations, i) + 1)) % nth(strides, i)),
  );
}

const isSameEnds = (ends: readonly number[], geometry: Geometry): boolean =>
  ends.every((end, i) => end === geometry.ends[i]);

function unpadded(geometry: Geometry): Geometry {
  return { ...geometry, begins: [0, 0], ends: [0, 0] };
}

/** dkernel [kh, kw, ci, g*co]. */
export function kernelGradient(x: TfTensor, dy: TfTensor, geometry: Geometry): TfTensor {
  const channels = nth(x.shape, 3);
  const shape = [...geometry.kernel, channels / geometry.groups, nth(dy.shape, 3)];
  if (isOwnDepthwise(channels, nth(dy.shape, 3), geometry)) return depthwiseKernelGradient(x, dy, geometry);
  const chosen = kernelsOf('kernelGradient', x.shape, nth(dy.shape, 3), geometry);
  if (chosen !== 'tensorflow') return ownKernelGradient(chosen, x, dy, geometry);
  if (engine().native && gradientsAreNative(geometry)) {
    const [image, named] = namedImage(x, geometry);
    return rawOp('Conv2DBackpropFilter', [image, tf.tensor1d(shape, 'int32'), dy], convAttributes(named, image.shape));
  }
  if (channels === geometry.groups && channels > 1) return otherDepthwiseKernelGradient(x, dy, shape, geometry);
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
  if (engine().native) return rawOp('DepthwiseConv2dNative', [x, filter], depthwiseAttributes(geometry, x.shape));
  return runKernel('DepthwiseConv2dNative', { x, filter }, geometry);
}

function runConv(x: TfTensor, filter: TfTensor, geometry: Geometry): TfTensor {
  return runKernel('Conv2D', { x, filter }, geometry);
}

/** tfjs's public functions refuse strides together with dilations; its kernels do not mind. */
function runKernel(
  name: string,
  inputs: { x: TfTensor; filter: TfTensor },
  { strides, dilations, begins, ends }: Geometry,
): TfTensor {
  const pad = [
    [0, 0],
    [nth(begins, 0), nth(ends, 0)],
    [nth(begins, 1), nth(ends, 1)],
    [0, 0],
  ];
  const attributes = {
    strides: [...strides],
    dilations: [...dilations],
    pad,
    dataFormat: 'NHWC',
    dimRoundingMode: 'floor',
  } as unknown as NamedAttrMap;
  return tf.engine().runKernel(name, inputs, attributes);
}

function depthwiseAttributes(geometry: Geometry, shape: readonly number[]): Record<string, AttributeValue> {
  const { strides, dilations, begins, ends } = geometry;
  const name = paddingName(geometry, shape);
  return {
    T: { type: 'float32' },
    strides: { int: [1, ...strides, 1] },
    dilations: { int: [1, ...dilations, 1] },
    padding: { string: name ?? 'EXPLICIT' },
    ...(!name && {
      explicit_paddings: { int: [0, 0, nth(begins, 0), nth(ends, 0), nth(begins, 1), nth(ends, 1), 0, 0] },
    }),
    data_format: { string: 'NHWC' },
  };
}

function convAttributes(geometry: Geometry, shape: readonly number[]): Record<string, AttributeValue> {
  return { ...depthwiseAttributes(geometry, shape), use_cudnn_on_gpu: { bool: true } };
}

/** TensorFlow's name for these pads of an image of this shape; null where it has none. */
function paddingName(
  { kernel, strides, dilations, begins, ends }: Geometry,
  shape: readonly number[],
): 'VALID' | 'SAME' | null {
  if ([...begins, ...ends].every((pad) => pad === 0)) return 'VALID';
  const isSame = kernel.every((size, i) => {
    const input = nth(shape, i + 1);
    const total = Math.max(
      (Math.ceil(input / nth(strides, i)) - 1) * nth(strides, i) + (size - 1) * nth(dilations, i) + 1 - input,
      0,
    );
    return begins[i] === total >> 1 && ends[i] === total - (total >> 1);
  });
  return isSame ? 'SAME' : null;
}

/** dx[i] = sum over k of w[k] * dy[j] where i + begin = j * stride + k * dilation. */
function inputGradientByConvolution(
  dy: TfTensor,
  kernel: TfTensor,
  shape: readonly number[],
  geometry: Geometry,
): TfTensor {
  const { groups, strides, dilations, begins } = geometry;
  const [height, width, ci, out] = kernel.shape as [number, number, number, number];
  const flipped = tf.reshape(tf.reverse(kernel, [0, 1]), [height * width, ci, groups, out / groups]);
  const swapped = tf.reshape(tf.transpose(flipped, [0, 3, 2, 1]), [height, width, out / groups, groups * ci]);
  const spread = interleave(dy, strides);
  const reach = [(height - 1) * nth(dilations, 0), (width - 1) * nth(dilations, 1)];
  const before = reach.map((r, i) => r - nth(begins, i));
  const after = reach.map((r, i) => nth(shape, i + 1) + r - nth(spread.shape, i + 1) - nth(before, i));
  return padAndRun(spread, swapped, {
    begins: before,
    ends: after,
    geometry: { ...geometry, kernel: [height, width], strides: [1, 1] },
  });
}

/** dw[k] = sum over n and j of x[j * stride + k * dilation - begin] * dy[j]. */
function kernelGradientByConvolution(x: TfTensor, dy: TfTensor, geometry: Geometry): TfTensor {
  const { groups, strides, dilations, begins, kernel } = geometry;
  const [n, height, width, channels] = x.shape as [number, number, number, number];
  const [, oh, ow, out] = dy.shape as [number, number, number, number];
  const xt = tf.reshape(tf.transpose(tf.reshape(x, [n, height * width, groups, channels / groups]), [3, 1, 2, 0]), [
    channels / groups,
    height,
    width,
    groups * n,
  ]);
  const dyt = tf.reshape(tf.transpose(tf.reshape(dy, [n, oh * ow, out]), [1, 0, 2]), [oh, ow, n, out]);
  const reach = [(oh - 1) * nth(strides, 0) + 1, (ow - 1) * nth(strides, 1) + 1];
  const after = reach.map(
    (r, i) => (nth(kernel, i) - 1) * nth(dilations, i) + r - nth(x.shape, i + 1) - nth(begins, i),
  );
  const swapped = { ...geometry, kernel: [oh, ow], strides: dilations, dilations: strides };
  return tf.transpose(padAndRun(xt, dyt, { begins, ends: after, geometry: swapped }), [1, 2, 0, 3]);
}

interface Padding {
  readonly begins: readonly number[];
  readonly ends: readonly number[];
  readonly geometry: Geometry;
}

function padAndRun(x: TfTensor, kernel: TfTensor, { begins, ends, geometry }: Padding): TfTensor {
  const cropped = padSpatial(
    x,
    begins.map((pad) => Math.min(pad, 0)),
    ends.map((pad) => Math.min(pad, 0)),
  );
  return forward(cropped, kernel, {
    ...geometry,
    begins: begins.map((pad) => Math.max(pad, 0)),
    ends: ends.map((pad) => Math.max(pad, 0)),
  });
}

/** One channel each: dw[k, c, m] = sum over n and positions of the view of x at k times dy. */
function otherDepthwiseKernelGradient(
  x: TfTensor,
  dy: TfTensor,
  shape: readonly number[],
  geometry: Geometry,
): TfTensor {
  const { groups } = geometry;
  if (engine().native && depthwiseIsNative(geometry)) {
    const filter = tf.tensor1d([...geometry.kernel, groups, nth(shape, 3) / groups], 'int32');
    const [image, named] = namedImage(x, geometry);
    return tf.reshape(
      rawOp('DepthwiseConv2dNativeBackpropFilter', [image, filter, dy], depthwiseAttributes(named, image.shape)),
      [...shape],
    );
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
