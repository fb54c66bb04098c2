/**
 * Chooses the weights to prune: the lowest scores of all, those under a threshold, or some of every group in a row.
 * Masks: 1 keeps, 0 prunes.
 */
import { elementAt } from '../ir/checked-access.ts';
import { fromHost, toHost } from '../ir/tensor-data.ts';
import type { Tensor } from '../ir/types.ts';

export interface Layer {
  /** Importance of every weight; the lowest are pruned first. -Infinity: already pruned. */
  readonly scores: Float32Array;
}

export interface GroupedLayer extends Layer {
  readonly dims: readonly number[];
  /** Axis of the groups; null if the layer has none and stays dense. */
  readonly axis: number | null;
}

/** Scores by magnitude. */
export function magnitudes(weights: ArrayLike<number>): Float32Array {
  return Float32Array.from(weights, Math.abs);
}

/** The weight with zeros where the mask is closed; null if they are already zero. */
export function maskedWeight(tensor: Tensor, mask: Float32Array): Tensor | null {
  const host = toHost(tensor);
  const values = host.data as Float32Array | Float64Array;
  if (!mask.some((open, i) => open === 0 && values[i] !== 0)) return null;
  const data = values.map((value, i) => (mask[i] === 0 ? 0 : value)) as Float32Array;
  return { ...tensor, bytes: fromHost(tensor.name, { ...host, data }).bytes };
}

/** Masks that close exactly `count` weights of all layers together: the lowest scores, the first ones on ties. */
export function lowestMasks(layers: readonly Layer[], count: number): Float32Array[] {
  const { key, below } = selectKey(layers, count);
  let ties = count - below;
  return layers.map(({ scores }) =>
    Float32Array.from(scores, (score) => {
      const own = orderedKey(score);
      if (own < key) return 0;
      return own === key && ties-- > 0 ? 0 : 1;
    }),
  );
}

/** Masks that close all weights with a score below the threshold, or already pruned. */
export function thresholdMask({ scores }: Layer, threshold: number): Float32Array {
  return Float32Array.from(scores, (score) => (score < threshold || score === -Infinity ? 0 : 1));
}

/** Of every `size` weights in a row along `axis`, closes the `prune` lowest. A shorter rest at the end stays. */
export function groupMask({ scores, dims, axis }: GroupedLayer, size: number, prune: number): Float32Array {
  const mask = Float32Array.from(scores, (score) => (score === -Infinity ? 0 : 1));
  if (axis === null || prune === 0) return mask;
  const stride = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const length = elementAt(dims, axis, 'axis');
  for (let outer = 0; outer < scores.length; outer += length * stride) {
    for (let inner = 0; inner < stride; inner++) {
      for (let first = 0; first + size <= length; first += size) {
        const group = Array.from({ length: size }, (_, i) => outer + inner + (first + i) * stride);
        group.sort((a, b) => scores[a]! - scores[b]! || a - b);
        for (const index of group.slice(0, prune)) mask[index] = 0;
      }
    }
  }
  return mask;
}

const bits = new DataView(new ArrayBuffer(4));

/**
 * Maps floats to unsigned 32-bit integers of the same order (flips all bits of negative ones, the sign of the others).
 */
function orderedKey(value: number): number {
  bits.setFloat32(0, value);
  const raw = bits.getUint32(0);
  return raw & 0x80000000 ? ~raw >>> 0 : (raw | 0x80000000) >>> 0;
}

/** The key of the `count`-th lowest score (radix selection, 16 bits at a time), and how many scores lie below it. */
function selectKey(layers: readonly Layer[], count: number): { key: number; below: number } {
  if (count === 0) return { key: 0, below: 0 };
  const high = histogram(layers, (key) => key >>> 16);
  const top = bucketOf(high, count, 0);
  const low = histogram(layers, (key) => (key >>> 16 === top.bucket ? key & 0xffff : -1));
  const { bucket, below } = bucketOf(low, count, top.below);
  return { key: ((top.bucket << 16) | bucket) >>> 0, below };
}

function histogram(layers: readonly Layer[], bucketOfKey: (key: number) => number): Uint32Array {
  const counts = new Uint32Array(65536);
  for (const { scores } of layers) {
    for (const score of scores) {
      const bucket = bucketOfKey(orderedKey(score));
      if (bucket >= 0) counts[bucket]!++;
    }
  }
  return counts;
}

/** The bucket in which the running count, starting at `below`, reaches `count`; and the count before it. */
function bucketOf(counts: Uint32Array, count: number, below: number): { bucket: number; below: number } {
  for (let bucket = 0; bucket < counts.length; bucket++) {
    if (below + counts[bucket]! >= count) return { bucket, below };
    below += counts[bucket]!;
  }
  throw new Error(`asked for ${count} of ${below} weights`);
}
