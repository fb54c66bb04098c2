/** Weights as TF.js stores them: one after the other in shards of 4 MiB, as they are or in a quantized form. */
import { encodeFloat16, roundHalfEven } from '../../../ir/number-formats.ts';
import type { TfWeight } from './tf-graph.ts';

/** How float weights are stored; integers stay as they are. */
export type ShardPrecision = 'float32' | 'float16' | 'uint16' | 'uint8';

export interface ShardedWeights {
  readonly manifest: readonly { readonly paths: readonly string[]; readonly weights: readonly object[] }[];
  readonly shards: ReadonlyMap<string, Uint8Array>;
}

const MAX_SHARD_BYTES = 4 * 1024 * 1024;
/**
 * Below this many elements a weight stays float32: the bytes saved are few, and biases and scales feel the rounding
 * most.
 */
const MIN_QUANTIZED_ELEMENTS = 64;

export function shardWeights(weights: readonly TfWeight[], precision: ShardPrecision): ShardedWeights {
  const stored = weights.map((weight) => store(weight, precision));
  const all = new Uint8Array(stored.reduce((sum, { bytes }) => sum + bytes.length, 0));
  let offset = 0;
  for (const { bytes } of stored) {
    all.set(bytes, offset);
    offset += bytes.length;
  }
  const count = Math.max(Math.ceil(all.length / MAX_SHARD_BYTES), 1);
  const paths = Array.from({ length: count }, (_, i) => `group1-shard${i + 1}of${count}.bin`);
  const shards = new Map(paths.map((path, i) => [path, all.subarray(i * MAX_SHARD_BYTES, (i + 1) * MAX_SHARD_BYTES)]));
  return { manifest: [{ paths, weights: stored.map(({ spec }) => spec) }], shards };
}

interface Stored {
  readonly spec: object;
  readonly bytes: Uint8Array;
}

function store({ name, dtype, dims, data }: TfWeight, precision: ShardPrecision): Stored {
  const spec = { name, shape: dims, dtype };
  if (
    !(data instanceof Float32Array) ||
    precision === 'float32' ||
    data.length < MIN_QUANTIZED_ELEMENTS ||
    data.some((value) => !Number.isFinite(value))
  )
    return { spec, bytes: bytesOf(data) };
  if (precision === 'float16') {
    return data.some((value) => Math.abs(value) > 65504)
      ? { spec, bytes: bytesOf(data) }
      : {
          spec: { ...spec, quantization: { dtype: 'float16', original_dtype: 'float32' } },
          bytes: bytesOf(encodeFloat16(data)),
        };
  }
  const { codes, min, scale } = affineCodes(data, precision);
  return {
    spec: { ...spec, quantization: { dtype: precision, min, scale, original_dtype: 'float32' } },
    bytes: bytesOf(codes),
  };
}

/**
 * value = code * scale + min over the weight's own range, moved so that zero has a code of its own: pruned weights stay
 * zero. `min` must be that code times `scale` in the reader's arithmetic too.
 */
function affineCodes(
  data: Float32Array,
  precision: 'uint16' | 'uint8',
): { codes: Uint8Array | Uint16Array; min: number; scale: number } {
  const maxCode = precision === 'uint8' ? 255 : 65535;
  let [low, high] = [0, 0];
  for (const value of data) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const scale = (high - low) / maxCode || 1;
  const zero = roundHalfEven(-low / scale);
  const codes = precision === 'uint8' ? new Uint8Array(data.length) : new Uint16Array(data.length);
  for (let i = 0; i < data.length; i++)
    codes[i] = Math.min(Math.max(roundHalfEven(data[i]! / scale) + zero, 0), maxCode);
  return { codes, min: -zero * scale, scale };
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
