/** Kernel and bias of a layer that has taken in the normalization behind it. */
import { number, type WeightArray } from '../../layer.ts';
import type { NewArray } from '../new-array.ts';
import { kernelOf, type FoldPair } from './pairs.ts';

export interface FoldedArrays {
  readonly kernel: NewArray;
  readonly bias: NewArray;
}

/**
 * y = gamma (W x + b - mean) / sqrt(variance + epsilon) + beta = (g W) x + g (b - mean) + beta, g = gamma /
 * sqrt(variance + epsilon) for each output channel (Jacob et al. 2018, eq. 14). In float64, rounded once.
 * @param own arrays of the product, `statistics` of the normalization, in Keras's order
 */
export function foldArrays(
  { product, norm }: FoldPair,
  own: readonly WeightArray[],
  statistics: readonly WeightArray[],
): FoldedArrays {
  const { count, layout } = kernelOf(product);
  const [{ dims, values }, bias] = [own[count - 1]!, own[count]];
  const { channels, behind } = layout(dims);
  const rest = statistics.map((array) => array.values);
  const gamma = norm.config['scale'] === false ? undefined : rest.shift();
  const beta = norm.config['center'] === false ? undefined : rest.shift();
  const [mean, variance] = rest as [Float32Array, Float32Array];
  const epsilon = number(norm.config, 'epsilon', 1e-3);
  const gain = Float64Array.from(variance, (value, c) => (gamma?.[c] ?? 1) / Math.sqrt(value + epsilon));
  return {
    kernel: { dims, values: values.map((value, i) => value * gain[Math.floor(i / behind) % channels]!) },
    bias: {
      dims: [channels],
      values: Float32Array.from(gain, (g, c) => g * ((bias?.values[c] ?? 0) - mean[c]!) + (beta?.[c] ?? 0)),
    },
  };
}
