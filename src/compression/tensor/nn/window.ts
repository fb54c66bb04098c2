/** The geometry of a sliding window: how conv and pooling options become numbers per spatial axis. */
import { nth } from '../../ir/checked-access.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';

export interface WindowOptions {
  /** One number per spatial axis; default 1. */
  readonly strides?: readonly number[];
  /** ONNX order: the begins of all spatial axes, then their ends; default 0. Negative ones crop. */
  readonly pads?: readonly number[];
  /** Default 1. */
  readonly dilations?: readonly number[];
}

/** All of it, one number per spatial axis. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly begins: readonly number[];
  readonly ends: readonly number[];
  readonly dilations: readonly number[];
}

/** Of a convolution. */
export interface Geometry extends Window {
  readonly groups: number;
}

export function completeWindow(kernel: readonly number[], options: WindowOptions): Window {
  const rank = kernel.length;
  const ones = Array<number>(rank).fill(1);
  const pads = options.pads ?? Array<number>(2 * rank).fill(0);
  return {
    kernel,
    strides: options.strides ?? ones,
    dilations: options.dilations ?? ones,
    begins: pads.slice(0, rank),
    ends: pads.slice(rank),
  };
}

/** Output size along each spatial axis. */
export function outputSizes(input: readonly number[], { kernel, strides, begins, ends, dilations }: Window): number[] {
  return input.map(
    (size, i) =>
      Math.floor(
        (size + nth(begins, i) + nth(ends, i) - (nth(kernel, i) - 1) * nth(dilations, i) - 1) / nth(strides, i),
      ) + 1,
  );
}

/** Pads (or, where negative, crops) the spatial axes of x [n, ...spatial, c]; x itself where there is nothing to do. */
export function padSpatial(x: TfTensor, begins: readonly number[], ends: readonly number[], fill = 0): TfTensor {
  const all = [...begins, ...ends];
  if (all.every((pad) => pad === 0)) return x;
  const cropped = all.some((pad) => pad < 0) ? crop(x, begins, ends) : x;
  if (all.every((pad) => pad <= 0)) return cropped;
  const paddings = begins.map((begin, i): [number, number] => [Math.max(begin, 0), Math.max(nth(ends, i), 0)]);
  return tf.pad(cropped, [[0, 0], ...paddings, [0, 0]], fill);
}

function crop(x: TfTensor, begins: readonly number[], ends: readonly number[]): TfTensor {
  const begin = [0, ...begins.map((pad) => Math.max(-pad, 0)), 0];
  const size = x.shape.map((length, axis) => length - nth(begin, axis) - Math.max(-(ends[axis - 1] ?? 0), 0));
  return tf.slice(x, begin, size);
}

/** The strided view of x [n, ...spatial, c] (already padded) that meets the kernel's element at `position`. */
export function viewAt(x: TfTensor, position: readonly number[], out: readonly number[], window: Window): TfTensor {
  const begin = [0, ...position.map((p, i) => p * nth(window.dilations, i)), 0];
  const size = [nth(x.shape, 0), ...out.map((o, i) => (o - 1) * nth(window.strides, i) + 1), nth(x.shape, -1)];
  if (window.strides.every((stride) => stride === 1)) return tf.slice(x, begin, size);
  return tf.stridedSlice(
    x,
    begin,
    begin.map((b, axis) => b + nth(size, axis)),
    [1, ...window.strides, 1],
  );
}

/** Every index of a kernel, row-major. */
export function positions(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>(
    (all, size) => all.flatMap((p) => Array.from({ length: size }, (_, i) => [...p, i])),
    [[]],
  );
}

/** Puts stride - 1 zeros between the elements of axes 1 and 2: [n, h, w, c] -> [n, (h-1)*s+1, (w-1)*t+1, c]. */
export function interleave(x: TfTensor, strides: readonly number[]): TfTensor {
  return strides.reduce((y, stride, i) => (stride === 1 ? y : interleaveAxis(y, i + 1, stride)), x);
}

function interleaveAxis(x: TfTensor, axis: number, stride: number): TfTensor {
  const shape = x.shape;
  const product = (from: number, to?: number) => shape.slice(from, to).reduce((a, b) => a * b, 1);
  const spread = tf.pad(tf.reshape(x, [product(0, axis + 1), 1, product(axis + 1)]), [
    [0, 0],
    [0, stride - 1],
    [0, 0],
  ]);
  const wide = shape.map((size, i) => (i === axis ? size * stride : size));
  const kept = shape.map((size, i) => (i === axis ? (size - 1) * stride + 1 : size));
  return tf.slice(
    tf.reshape(spread, wide),
    shape.map(() => 0),
    kept,
  );
}
