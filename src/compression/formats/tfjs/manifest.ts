/**
 * The weights of a TF.js model: shards joined per group, cut by the manifest, brought back from their quantized form.
 */
import { posix } from 'node:path';
import { LatheError } from '../../../errors.ts';
import { decodeFloat16 } from '../../ir/number-formats.ts';

export interface TfjsWeight {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dtype: 'float32' | 'int32' | 'bool';
  readonly values: Float32Array | Int32Array | Uint8Array;
  /** The storage form: `float16`, or affine `uint8`/`uint16` (value = q * scale + min); null: as it is. */
  readonly quantization: 'uint8' | 'uint16' | 'float16' | null;
}

interface Entry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: { readonly dtype: string; readonly scale?: number; readonly min?: number };
}

const damaged = (path: string, message: string): LatheError =>
  new LatheError('malformed-model', `TF.js weights "${path}": ${message}`, [{ path, message }]);

/**
 * @param members by path relative to model.json, as the manifest's paths are
 * @throws LatheError `malformed-model` naming the shard or weight.
 */
export function readManifest(manifest: unknown, members: ReadonlyMap<string, Uint8Array>): Map<string, TfjsWeight> {
  if (!Array.isArray(manifest)) throw damaged('weightsManifest', 'is missing');
  const weights = new Map<string, TfjsWeight>();
  for (const { paths, weights: entries } of manifest as { paths: string[]; weights: Entry[] }[]) {
    const bytes = joinShards(paths ?? [], members);
    let offset = 0;
    for (const entry of entries ?? []) {
      const { weight, next } = readWeight(entry, bytes, offset);
      weights.set(entry.name, weight);
      offset = next;
    }
    if (offset !== bytes.length)
      throw damaged(paths.join(', '), `hold ${bytes.length} bytes, the manifest describes ${offset}`);
  }
  return weights;
}

function joinShards(paths: readonly string[], members: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const shards = paths.map((path) => {
    const shard = members.get(posix.normalize(path));
    if (!shard) throw damaged(path, 'the shard is not in the archive');
    return shard;
  });
  return shards.length === 1 ? shards[0]! : Buffer.concat(shards);
}

const STORED_BYTES: Readonly<Record<string, number>> = {
  float32: 4,
  int32: 4,
  bool: 1,
  uint8: 1,
  uint16: 2,
  float16: 2,
};

function readWeight(entry: Entry, bytes: Uint8Array, offset: number): { weight: TfjsWeight; next: number } {
  const { name, shape, dtype, quantization } = entry;
  if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool')
    throw damaged(name, `weights of type ${dtype} have no ONNX form`);
  const stored = quantization?.dtype ?? dtype;
  const size = STORED_BYTES[stored];
  if (size === undefined) throw damaged(name, `the stored type ${stored} is unknown`);
  const elements = shape.reduce((total, axis) => total * axis, 1);
  const next = offset + elements * size;
  if (!Number.isSafeInteger(elements) || elements < 0 || next > bytes.length)
    throw damaged(name, `needs ${elements * size} bytes at ${offset}, the shards hold ${bytes.length}`);
  // a copy: views must be aligned (Buffer.slice would be a view)
  const raw = new Uint8Array(bytes.subarray(offset, next)).buffer;
  const values = decode(raw, stored, dtype, quantization);
  const form = stored === 'float16' || stored === 'uint8' || stored === 'uint16' ? stored : null;
  return { weight: { name, dims: shape, dtype, values, quantization: form }, next };
}

function decode(
  raw: ArrayBuffer,
  stored: string,
  dtype: string,
  quantization: Entry['quantization'],
): TfjsWeight['values'] {
  if (!quantization)
    return dtype === 'float32' ? new Float32Array(raw) : dtype === 'int32' ? new Int32Array(raw) : new Uint8Array(raw);
  if (stored === 'float16') return decodeFloat16(new Uint16Array(raw));
  const { scale = 1, min = 0 } = quantization;
  const levels = stored === 'uint8' ? new Uint8Array(raw) : new Uint16Array(raw);
  return dtype === 'int32'
    ? Int32Array.from(levels, (q) => Math.round(q * scale + min))
    : Float32Array.from(levels, (q) => Math.fround(q * scale + min));
}
