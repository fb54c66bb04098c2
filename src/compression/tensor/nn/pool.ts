/** Max and average pooling over one, two or three spatial axes, channels last. */
import { nth } from '../../ir/checked-access.ts';
import { engine } from '../engine.ts';
import { hasOwnKernels, rawOp } from '../native/raw-op.ts';
import type { AttributeValue } from '../native/raw-op.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';
import { saving, withGradient } from './gradient.ts';
import { completeWindow, interleave, outputSizes, padSpatial, positions, viewAt } from './window.ts';
import type { Window, WindowOptions } from './window.ts';
import type { Tensor4D } from '@tensorflow/tfjs';

export interface PoolOptions extends WindowOptions {
  /** One number per spatial axis. */
  readonly kernel: readonly number[];
  /** averagePool: padded positions count as zeros (default: they do not count). */
  readonly countIncludePad?: boolean;
}

/** x [n, ...spatial, c]. Padded positions never win. Among equal values the gradient goes to one. */
export function maxPool(x: TfTensor, options: PoolOptions): TfTensor {
  return overPlanes(x, completeWindow(options.kernel, options), maxPool2d);
}

export function averagePool(x: TfTensor, options: PoolOptions): TfTensor {
  const window = completeWindow(options.kernel, options);
  const size = window.kernel.reduce((a, b) => a * b, 1);
  const mean = overPlanes(x, window, averagePool2d);
  const isPadded = [...window.begins, ...window.ends].some((pad) => pad !== 0);
  return isPadded && !options.countIncludePad ? tf.mul(mean, tf.div(size, windowCounts(x, window))) : mean;
}

/** How many of each window's positions lie inside x: [1, ...spatial', 1]. */
function windowCounts(x: TfTensor, window: Window): TfTensor {
  const spatial = x.shape.slice(1, -1);
  const out = outputSizes(spatial, window);
  const perAxis = out.map((count, axis) =>
    Array.from({ length: count }, (_, o) => {
      const start = o * window.strides[axis]! - window.begins[axis]!;
      return Array.from({ length: window.kernel[axis]! }, (_, k) => start + k * window.dilations[axis]!).filter(
        (at) => at >= 0 && at < spatial[axis]!,
      ).length;
    }),
  );
  const counts = perAxis.reduce<number[]>((all, axis) => all.flatMap((a) => axis.map((b) => a * b)), [1]);
  return tf.tensor(
    counts.map((count) => Math.max(count, 1)),
    [1, ...out, 1],
  );
}

type Pool2d = (x: TfTensor, window: Window) => TfTensor;

/** Pooling is separable: one axis is done as a plane of height 1, three as a plane and then the depth. */
function overPlanes(x: TfTensor, window: Window, pool: Pool2d): TfTensor {
  const rank = window.kernel.length;
  if (rank === 2) return pool(x, window);
  if (rank === 1)
    return tf.squeeze(
      pool(
        tf.expandDims(x, 1),
        mapWindow(window, (values, neutral) => [neutral, ...values]),
      ),
      [1],
    );
  const [n, d, h, w, c] = x.shape as [number, number, number, number, number];
  const planes = pool(
    tf.reshape(x, [n * d, h, w, c]),
    mapWindow(window, (values) => values.slice(1)),
  );
  const [, oh, ow] = planes.shape as [number, number, number];
  const columns = pool(
    tf.reshape(planes, [n, d, oh * ow, c]),
    mapWindow(window, (values, neutral) => [nth(values, 0), neutral]),
  );
  return tf.reshape(columns, [n, nth(columns.shape, 1), oh, ow, c]);
}

function mapWindow(window: Window, map: (values: readonly number[], neutral: number) => number[]): Window {
  return {
    kernel: map(window.kernel, 1),
    strides: map(window.strides, 1),
    dilations: map(window.dilations, 1),
    begins: map(window.begins, 0),
    ends: map(window.ends, 0),
  };
}

function maxPool2d(x: TfTensor, window: Window): TfTensor {
  const isDilated = window.dilations.some((dilation) => dilation !== 1);
  const isNative = engine().native && !isDilated && [...window.begins, ...window.ends].every((pad) => pad >= 0);
  if (!isNative) return portableMaxPool(padSpatial(x, window.begins, window.ends, -Infinity), window, isDilated);
  const [forward, backward, attributes] = hasOwnKernels()
    ? (['LatheMaxPool', 'LatheMaxPoolGrad', ownPadding(window)] as const)
    : (['MaxPool', 'MaxPoolGrad', explicitPadding(window)] as const);
  return withGradient([x], (input) => {
    const value = rawOp(forward, [input], attributes);
    return saving({
      value,
      saved: [input, value],
      gradient: (dy, [a, y]) => [rawOp(backward, [a, y, dy], attributes)],
    });
  });
}

/** Its own gradient: that of tfjs's WebAssembly kernel loses windows whose maximum is negative. */
function portableMaxPool(x: TfTensor, window: Window, isDilated: boolean): TfTensor {
  return withGradient([x], (input) => {
    const value = isDilated
      ? views(input, window).reduce((best, next) => tf.maximum(best, next))
      : tf.maxPool(input as Tensor4D, ...publicWindow(window));
    return saving({ value, saved: [input, value], gradient: (dy, [a, y]) => [maxGradientByViews(a, y, dy, window)] });
  });
}

/** Each dy goes to the first position of its window that holds the maximum. */
function maxGradientByViews(x: TfTensor, y: TfTensor, dy: TfTensor, { kernel, strides, dilations }: Window): TfTensor {
  let open = tf.onesLike<TfTensor>(y);
  const parts = views(x, { kernel, strides, dilations, begins: [0, 0], ends: [0, 0] }).map((view, index) => {
    const first = tf.mul(open, tf.cast(tf.equal(view, y), 'float32'));
    open = tf.sub(open, first);
    const spread = interleave(tf.mul(dy, first), strides);
    const before = [
      Math.floor(index / nth(kernel, 1)) * nth(dilations, 0),
      (index % nth(kernel, 1)) * nth(dilations, 1),
    ];
    return padSpatial(
      spread,
      before,
      before.map((begin, i) => nth(x.shape, i + 1) - nth(spread.shape, i + 1) - begin),
    );
  });
  return parts.reduce((sum, part) => tf.add(sum, part));
}

function averagePool2d(x: TfTensor, window: Window): TfTensor {
  const padded = padSpatial(x, window.begins, window.ends);
  if (window.dilations.some((dilation) => dilation !== 1)) return meanOfViews(padded, window);
  return tf.avgPool(padded as Tensor4D, ...publicWindow(window));
}

function publicWindow({ kernel, strides }: Window): [[number, number], [number, number], 'valid'] {
  return [kernel as [number, number], strides as [number, number], 'valid'];
}

/** For the engine's own kernels on the CPU: [128, 24, 24, 20] pooled 2 x 2 and back, 1.7 ms of one core. */
function ownPadding({ kernel, strides, begins, ends }: Window): Record<string, AttributeValue> {
  return { kernel: { int: kernel }, strides: { int: strides }, begins: { int: begins }, ends: { int: ends } };
}

function explicitPadding({ kernel, strides, begins, ends }: Window): Record<string, AttributeValue> {
  return {
    T: { type: 'float32' },
    ksize: { int: [1, ...kernel, 1] },
    strides: { int: [1, ...strides, 1] },
    padding: { string: 'EXPLICIT' },
    explicit_paddings: { int: [0, 0, nth(begins, 0), nth(ends, 0), nth(begins, 1), nth(ends, 1), 0, 0] },
    data_format: { string: 'NHWC' },
  };
}

/** No engine has a dilated pooling kernel. */
function views(x: TfTensor, window: Window): TfTensor[] {
  const out = outputSizes(x.shape.slice(1, -1), { ...window, begins: [0, 0], ends: [0, 0] });
  return positions(window.kernel).map((position) => viewAt(x, position, out, window));
}

function meanOfViews(x: TfTensor, window: Window): TfTensor {
  const all = views(x, window);
  return tf.div(
    all.reduce((sum, next) => tf.add(sum, next)),
    all.length,
  );
}
