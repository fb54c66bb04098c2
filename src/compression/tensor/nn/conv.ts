/** Convolution and transposed convolution over one, two or three spatial axes, channels last. */
import { nth } from '../../ir/checked-access.ts';
import { engine } from '../engine.ts';
import { rawOp } from '../native/raw-op.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';
import { forward, inputGradient, kernelGradient } from './conv2d.ts';
import { saving, withGradient } from './gradient.ts';
import { completeWindow, outputSizes, padSpatial } from './window.ts';
import type { Geometry, WindowOptions } from './window.ts';

export interface ConvOptions extends WindowOptions {
  readonly groups?: number;
}
export interface ConvTransposeOptions extends ConvOptions {
  /** Added to the end of each spatial axis of the output; default 0. */
  readonly outputPadding?: readonly number[];
}

/** x [n, ...spatial, cin], kernel [...k, cin/groups, cout] -> [n, ...spatial', cout]; cross-correlation, as in ONNX. */
export function conv(x: TfTensor, kernel: TfTensor, options: ConvOptions = {}): TfTensor {
  const window = completeWindow(kernel.shape.slice(0, -2), options);
  const cropped = padSpatial(
    x,
    window.begins.map((pad) => Math.min(pad, 0)),
    window.ends.map((pad) => Math.min(pad, 0)),
  );
  const geometry: Geometry = {
    ...window,
    begins: window.begins.map((pad) => Math.max(pad, 0)),
    ends: window.ends.map((pad) => Math.max(pad, 0)),
    groups: options.groups ?? 1,
  };
  if (window.kernel.length === 1)
    return tf.squeeze(conv2d(tf.expandDims(cropped, 1), tf.expandDims(kernel, 0), withUnitAxis(geometry)), [1]);
  if (window.kernel.length === 2) return conv2d(cropped, kernel, geometry);
  return conv3d(cropped, kernel, geometry);
}

/**
 * x [n, ...spatial, cin], kernel [...k, cout/groups, cin] -> [n, ...spatial', cout]: what the gradient of `conv` to its
 * input computes. spatial' = stride * (spatial - 1) + (k - 1) * dilation + 1 + outputPadding - pads.
 */
export function convTranspose(x: TfTensor, kernel: TfTensor, options: ConvTransposeOptions = {}): TfTensor {
  const window = completeWindow(kernel.shape.slice(0, -2), options);
  const { strides, dilations, begins, ends } = window;
  // Pads are cropped from the whole result, so that the gradient kernels below meet no pads, which could exceed the
  // input's.
  const sizes = window.kernel.map(
    (k, i) => nth(strides, i) * (nth(x.shape, i + 1) - 1) + (k - 1) * nth(dilations, i) + 1,
  );
  const extra = options.outputPadding ?? sizes.map(() => 0);
  const zeros = sizes.map(() => 0);
  const geometry: Geometry = { ...window, begins: zeros, ends: zeros, groups: options.groups ?? 1 };
  const whole = transposeWhole(x, kernel, sizes, geometry);
  return padSpatial(
    whole,
    begins.map((pad) => -pad),
    ends.map((pad, i) => nth(extra, i) - pad),
  );
}

function transposeWhole(x: TfTensor, kernel: TfTensor, sizes: readonly number[], geometry: Geometry): TfTensor {
  if (sizes.length === 1)
    return tf.squeeze(
      convTranspose2d(tf.expandDims(x, 1), tf.expandDims(kernel, 0), [1, ...sizes], withUnitAxis(geometry)),
      [1],
    );
  if (sizes.length === 2) return convTranspose2d(x, kernel, sizes, geometry);
  return convTranspose3d(x, kernel, sizes, geometry);
}

/** [n, w, c] as [n, 1, w, c]. */
function withUnitAxis(geometry: Geometry): Geometry {
  const { kernel, strides, dilations, begins, ends, groups } = geometry;
  return {
    kernel: [1, ...kernel],
    strides: [1, ...strides],
    dilations: [1, ...dilations],
    begins: [0, ...begins],
    ends: [0, ...ends],
    groups,
  };
}

function conv2d(x: TfTensor, kernel: TfTensor, geometry: Geometry): TfTensor {
  return withGradient([x, kernel], (image, weight) =>
    saving({
      value: forward(image, weight, geometry),
      saved: [image, weight],
      gradient: (dy, saved) => {
        const [a, w] = saved as [TfTensor, TfTensor];
        return [inputGradient(dy, w, a.shape, geometry), kernelGradient(a, dy, geometry)];
      },
    }),
  );
}

function convTranspose2d(x: TfTensor, kernel: TfTensor, sizes: readonly number[], geometry: Geometry): TfTensor {
  const shape = [nth(x.shape, 0), ...sizes, nth(kernel.shape, 2) * geometry.groups];
  return withGradient([x, kernel], (image, weight) =>
    saving({
      value: inputGradient(image, weight, shape, geometry),
      saved: [image, weight],
      gradient: (dy, saved) => {
        const [a, w] = saved as [TfTensor, TfTensor];
        return [forward(dy, w, geometry), kernelGradient(dy, a, geometry)];
      },
    }),
  );
}

/**
 * TensorFlow's Conv3D where it can (no groups, no dilation, no GPU restriction), else a sum of 2-D convolutions over
 * the kernel's depth.
 */
function conv3d(x: TfTensor, kernel: TfTensor, geometry: Geometry): TfTensor {
  if (engine().native && geometry.groups === 1 && geometry.dilations.every((dilation) => dilation === 1)) {
    return nativeConv3d(padSpatial(x, geometry.begins, geometry.ends), kernel, geometry.strides);
  }
  const [depth = 1] = geometry.kernel;
  const padded = padSpatial(x, [nth(geometry.begins, 0), 0, 0], [nth(geometry.ends, 0), 0, 0]);
  const [out = 0] = outputSizes(x.shape.slice(1, -1), geometry);
  return Array.from({ length: depth }, (_, k) => {
    const slices = depthView(padded, k * nth(geometry.dilations, 0), out, nth(geometry.strides, 0));
    const plane = tf.reshape(tf.slice(kernel, [k, 0, 0, 0, 0], [1, -1, -1, -1, -1]), kernel.shape.slice(1));
    return mapPlanes(slices, (planes) => conv2d(planes, plane, planar(geometry)));
  }).reduce((sum, next) => tf.add(sum, next));
}

function convTranspose3d(x: TfTensor, kernel: TfTensor, sizes: readonly number[], geometry: Geometry): TfTensor {
  const [depth = 1] = geometry.kernel;
  const [stride = 1] = geometry.strides;
  const spread = spreadDepth(x, stride);
  return Array.from({ length: depth }, (_, k) => {
    const plane = tf.reshape(tf.slice(kernel, [k, 0, 0, 0, 0], [1, -1, -1, -1, -1]), kernel.shape.slice(1));
    const part = mapPlanes(spread, (planes) => convTranspose2d(planes, plane, sizes.slice(1), planar(geometry)));
    const before = k * nth(geometry.dilations, 0);
    return padSpatial(part, [before, 0, 0], [nth(sizes, 0) - nth(part.shape, 1) - before, 0, 0]);
  }).reduce((sum, next) => tf.add(sum, next));
}

/** The geometry of the last two of three axes. */
function planar({ kernel, strides, dilations, begins, ends, groups }: Geometry): Geometry {
  const last = (values: readonly number[]) => values.slice(1);
  return {
    kernel: last(kernel),
    strides: last(strides),
    dilations: last(dilations),
    begins: last(begins),
    ends: last(ends),
    groups,
  };
}

/** Runs `f` on [n*d, h, w, c] and gives the result its depth axis back. */
function mapPlanes(x: TfTensor, f: (planes: TfTensor) => TfTensor): TfTensor {
  const [n, d, h, w, c] = x.shape as [number, number, number, number, number];
  const y = f(tf.reshape(x, [n * d, h, w, c]));
  return tf.reshape(y, [n, d, ...y.shape.slice(1)]);
}

/** Every stride-th plane of x [n, d, h, w, c] from `begin`, `count` of them. */
function depthView(x: TfTensor, begin: number, count: number, stride: number): TfTensor {
  const [n, , h, w, c] = x.shape as [number, number, number, number, number];
  const whole = tf.slice(x, [0, begin, 0, 0, 0], [n, (count - 1) * stride + 1, h, w, c]);
  if (stride === 1) return whole;
  const padded = tf.pad(tf.reshape(whole, [n, (count - 1) * stride + 1, h * w * c]), [
    [0, 0],
    [0, stride - 1],
    [0, 0],
  ]);
  const first = tf.slice(tf.reshape(padded, [n * count, stride, h * w * c]), [0, 0, 0], [-1, 1, -1]);
  return tf.reshape(first, [n, count, h, w, c]);
}

function spreadDepth(x: TfTensor, stride: number): TfTensor {
  if (stride === 1) return x;
  const [n, d, h, w, c] = x.shape as [number, number, number, number, number];
  const padded = tf.reshape(
    tf.pad(tf.reshape(x, [n * d, 1, h * w * c]), [
      [0, 0],
      [0, stride - 1],
      [0, 0],
    ]),
    [n, d * stride, h * w * c],
  );
  return tf.reshape(tf.slice(padded, [0, 0, 0], [-1, (d - 1) * stride + 1, -1]), [n, (d - 1) * stride + 1, h, w, c]);
}

function nativeConv3d(x: TfTensor, kernel: TfTensor, strides: readonly number[]): TfTensor {
  const attributes = {
    T: { type: 'float32' },
    strides: { int: [1, ...strides, 1] },
    padding: { string: 'VALID' },
    data_format: { string: 'NDHWC' },
    dilations: { int: [1, 1, 1, 1, 1] },
  } as const;
  return withGradient([x, kernel], (volume, weight) =>
    saving({
      value: rawOp('Conv3D', [volume, weight], attributes),
      saved: [volume, weight],
      gradient: (dy, saved) => {
        const [a, w] = saved as [TfTensor, TfTensor];
        return [
          rawOp('Conv3DBackpropInputV2', [tf.tensor1d(a.shape, 'int32'), w, dy], {
            ...attributes,
            Tshape: { type: 'int32' },
          }),
          rawOp('Conv3DBackpropFilterV2', [a, tf.tensor1d(w.shape, 'int32'), dy], attributes),
        ];
      },
    }),
  );
}
