/** A weight as a codebook and a code for each element. */
import { fromHost, toHost } from '../ir/tensor-data.ts';
import type { Tensor } from '../ir/types.ts';
import { kMeans, type Initialization } from './k-means.ts';

export interface Coded {
  /** The different values, of the weight's element type. */
  readonly values: Tensor;
  /** By element, row-major. */
  readonly codes: Uint8Array;
  /** Zeros have a cluster of their own, which is code 0. */
  readonly keepsZeros: boolean;
}

export interface CodingOptions {
  /** The maximum number of values, zero included. */
  readonly clusters: number;
  readonly init: Initialization;
  /** The weight's zeros were made by pruning. */
  readonly pruned: boolean;
  readonly random: () => number;
}

/**
 * Clusters by value alone. Zeros get their own exact cluster, code 0, if pruning made them or if they are at least an
 * even share of the weights per cluster: otherwise neighbours would move their centre and the weight would lose its
 * sparsity.
 * @returns null where a value is not finite
 */
export function encodeWeight(tensor: Tensor, { clusters, init, pruned, random }: CodingOptions): Coded | null {
  const host = toHost(tensor);
  const weights = host.data as Float32Array | Float64Array;
  const zeros = countZeros(weights);
  if (zeros === null) return null;
  const keepsZeros = zeros > 0 && (pruned || zeros === weights.length || zeros * clusters >= weights.length);
  const source = keepsZeros ? withoutZeros(weights, zeros) : weights;
  const centres = source.length === 0 ? [] : kMeans(source, clusters - (keepsZeros ? 1 : 0), init, random);
  const values = fromHost('', { dtype: host.dtype, dims: [centres.length], data: Float64Array.from(centres) });
  const distinct = new Set(toHost(values).data as Float32Array); // rounding to the element type may merge some
  const book = Float64Array.from([...(keepsZeros ? [0] : []), ...distinct]);
  return {
    values: fromHost('', { dtype: host.dtype, dims: [book.length], data: book }),
    codes: codesOf(weights, Float64Array.from(distinct), keepsZeros),
    keepsZeros,
  };
}

/**
 * The nearest centre of each weight, by bisection over the midpoints of the ascending centres; the lower one on ties.
 */
function codesOf(weights: Float32Array | Float64Array, centres: Float64Array, keepsZeros: boolean): Uint8Array {
  const middles = centres.slice(1).map((centre, i) => (centres[i]! + centre) / 2);
  const first = keepsZeros ? 1 : 0;
  const codes = new Uint8Array(weights.length);
  for (let i = 0; i < codes.length; i++)
    codes[i] = keepsZeros && weights[i] === 0 ? 0 : first + countBelow(middles, weights[i]!);
  return codes;
}

// Plain loops: the arrays' own methods take ten times as long, and models have 10^8 weights.

/** null where a value is not finite. */
function countZeros(weights: Float32Array | Float64Array): number | null {
  let zeros = 0;
  for (let i = 0; i < weights.length; i++) {
    if (!Number.isFinite(weights[i])) return null;
    if (weights[i] === 0) zeros++;
  }
  return zeros;
}

function withoutZeros(weights: Float32Array | Float64Array, zeros: number): Float32Array | Float64Array {
  const others =
    weights instanceof Float64Array
      ? new Float64Array(weights.length - zeros)
      : new Float32Array(weights.length - zeros);
  for (let i = 0, next = 0; i < weights.length; i++) if (weights[i] !== 0) others[next++] = weights[i]!;
  return others;
}

function countBelow(limits: Float64Array, value: number): number {
  let [low, high] = [0, limits.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (limits[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
