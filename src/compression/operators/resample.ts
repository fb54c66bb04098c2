/**
 * Resampling along one axis as a matrix: row i holds the weights of the input's positions in output i. Nearest, linear,
 * cubic and their antialiased forms differ in these weights alone, and a product with a constant matrix is fast and
 * differentiable everywhere. Source: ONNX's definition of Resize.
 */
import { nth } from '../ir/checked-access.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { sizeOf } from './shapes.ts';

export interface Resampling {
  readonly mode: 'nearest' | 'linear' | 'cubic';
  readonly transformation: string;
  readonly nearest: string;
  readonly cubicCoefficient: number;
  readonly excludeOutside: boolean;
  readonly antialias: boolean;
}

export interface Axis {
  readonly input: number;
  readonly output: number;
  readonly scale: number;
  /** Region of interest, relative to the input: begin and end. */
  readonly roi: readonly [number, number];
}

/** Where output position `x` lies in the input. */
export function sourcePosition(transformation: string, x: number, { input, output, scale, roi }: Axis): number {
  const size = scale * input;
  switch (transformation) {
    case 'align_corners':
      return output === 1 ? 0 : (x * (input - 1)) / (size - 1);
    case 'asymmetric':
      return x / scale;
    case 'pytorch_half_pixel':
      return output === 1 ? -0.5 : (x + 0.5) / scale - 0.5;
    case 'tf_half_pixel_for_nn':
      return (x + 0.5) / scale;
    case 'half_pixel_symmetric':
      return (input / 2) * (1 - output / size) + (x + 0.5) / scale - 0.5;
    case 'tf_crop_and_resize': {
      const [begin, end] = roi;
      const within =
        output === 1 ? ((end - begin) * (input - 1)) / 2 : (x * (end - begin) * (input - 1)) / (output - 1);
      return begin * (input - 1) + within;
    }
    default:
      return (x + 0.5) / scale - 0.5;
  }
}

/** Output positions along an axis that lie outside the input: they get the extrapolation value. */
export function outside(transformation: string, axis: Axis): boolean[] {
  return Array.from({ length: axis.output }, (_, x) => {
    const at = sourcePosition(transformation, x, axis);
    return transformation === 'tf_crop_and_resize' && (at < 0 || at > axis.input - 1);
  });
}

/** [output, input] weights. */
export function resamplingMatrix(how: Resampling, axis: Axis): Float32Array {
  const matrix = new Float32Array(axis.output * axis.input);
  for (let x = 0; x < axis.output; x++) {
    const at = sourcePosition(how.transformation, x, axis);
    const base = Math.ceil(at) - 1;
    const weights = weightsAt(how, at - base, axis.scale);
    const first = base + 1 - weights.length / 2;
    const inside = (i: number): boolean => first + i >= 0 && first + i < axis.input;
    const total = how.excludeOutside ? weights.reduce((sum, weight, i) => sum + (inside(i) ? weight : 0), 0) : 1;
    weights.forEach((weight, i) => {
      if (how.excludeOutside && !inside(i)) return;
      const position = Math.min(Math.max(first + i, 0), axis.input - 1);
      matrix[x * axis.input + position]! += weight / total;
    });
  }
  return matrix;
}

/** Weights of the neighbours, half of them on either side; `ratio` in (0, 1] is the distance to the one on the left. */
function weightsAt(how: Resampling, ratio: number, scale: number): number[] {
  if (how.mode === 'nearest') return nearestWeights(how.nearest, ratio);
  const shrink = how.antialias ? Math.min(scale, 1) : 1;
  const reach = how.mode === 'linear' ? 1 : 2;
  const first = Math.floor(-reach / shrink) + 1;
  const kernel = how.mode === 'linear' ? linear : cubic(how.cubicCoefficient);
  const weights = Array.from({ length: 2 - 2 * first }, (_, i) => kernel(Math.abs((first + i - ratio) * shrink)));
  if (!how.antialias) return weights;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function nearestWeights(rounding: string, ratio: number): number[] {
  const right =
    ratio === 1 ||
    rounding === 'ceil' ||
    (rounding === 'round_prefer_ceil' && ratio >= 0.5) ||
    (rounding === 'round_prefer_floor' && ratio > 0.5);
  return right ? [0, 1] : [1, 0];
}

function linear(distance: number): number {
  return Math.max(0, 1 - distance);
}

/** Keys, 1981, with free coefficient a. */
function cubic(a: number): (distance: number) => number {
  return (d) => {
    if (d <= 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1;
    return d < 2 ? a * (d ** 3 - 5 * d ** 2 + 8 * d - 4) : 0;
  };
}

/** Applies a [output, input] matrix along one axis of x. */
export function alongAxis(x: TfTensor, axis: number, matrix: Float32Array, output: number): TfTensor {
  const input = nth(x.shape, axis);
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
  const dims = [...before, output, ...after];
  if (sizeOf(after) === 1)
    return tf.reshape(
      tf.matMul(tf.reshape(x, [sizeOf(before), input]), tf.tensor2d(matrix, [output, input]), false, true),
      dims,
    );
  const columns = tf.reshape(x, [sizeOf(before), input, sizeOf(after)]);
  return tf.reshape(tf.matMul(tf.tensor3d(matrix, [1, output, input]), columns), dims);
}
