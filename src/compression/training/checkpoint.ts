/**
 * A training in bytes: a JSON header (its length first, uint32 little-endian), then float32 arrays in the header's
 * order, padded to four bytes. Batches, seeds and learning rates follow from epoch and step, so that a resumed training
 * ends with the same weights.
 */
import type { Snapshot } from './snapshot.ts';

export interface Checkpoint {
  /** Epochs done, steps done. */
  readonly epoch: number;
  readonly step: number;
  readonly history: readonly Readonly<Record<string, number>>[];
  /** Metrics of the best weights so far; null: none qualified yet. */
  readonly bestMetrics: Readonly<Record<string, number>> | null;
  /** Steps that the best weights had been trained for. */
  readonly bestStep: number | null;
  /** Parameters, running statistics, optimizer slots, masks, scores. */
  readonly current: Snapshot;
  /** Parameters and running statistics of the best epoch. */
  readonly best: Snapshot;
}

const VERSION = 1;

export function encodeCheckpoint({ current, best, ...rest }: Checkpoint): Uint8Array {
  const header = Buffer.from(
    JSON.stringify({
      version: VERSION,
      ...rest,
      current: current.map(({ length }) => length),
      best: best.map(({ length }) => length),
    }),
  );
  const start = Buffer.alloc(4 + Math.ceil(header.length / 4) * 4, ' ');
  start.writeUInt32LE(start.length - 4);
  header.copy(start, 4);
  return Buffer.concat([
    start,
    ...[...current, ...best].map((array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)),
  ]);
}

/** null where the bytes are of another version. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + buffer.readUInt32LE(0);
  const { version, current, best, ...rest } = JSON.parse(buffer.toString('utf8', 4, start)) as Omit<
    Checkpoint,
    'current' | 'best'
  > & { version: number; current: number[]; best: number[] };
  if (version !== VERSION) return null;
  let at = start;
  const take = (length: number): Float32Array => {
    const array = new Float32Array(length);
    new Uint8Array(array.buffer).set(buffer.subarray(at, at + array.byteLength));
    at += array.byteLength;
    return array;
  };
  return { ...rest, current: current.map(take), best: best.map(take) };
}
