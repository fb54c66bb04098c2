/**
 * Serializes a training's state: a JSON header (its length first, uint32 little-endian, padded to four bytes), then
 * float32 arrays in the header's order, named by their parameters. Epoch and step determine batches, seeds and learning
 * rates, so that a resumed training ends with the same weights.
 */
import type { Snapshot } from './snapshot.ts';

export interface Checkpoint {
  /** Epochs done, steps done. */
  readonly epoch: number;
  readonly step: number;
  readonly history: readonly Readonly<Record<string, number>>[];
  /** Metrics of the best weights so far; null if none has qualified yet. */
  readonly bestMetrics: Readonly<Record<string, number>> | null;
  /** Training steps after which the best weights were reached. */
  readonly bestStep: number | null;
  /** Parameters, running statistics, optimizer slots, masks, scores. */
  readonly current: Snapshot;
  /** Parameters and running statistics of the best epoch. */
  readonly best: Snapshot;
}

/** 1 had arrays in the order of the variables, without names. */
const VERSION = 2;

/** Names and shapes, in the order of the arrays. */
type Contents = readonly (readonly [string, readonly number[]])[];

interface Header extends Omit<Checkpoint, 'current' | 'best'> {
  readonly version: number;
  readonly current: Contents;
  readonly best: Contents;
}

export function encodeCheckpoint({ current, best, ...rest }: Checkpoint): Uint8Array {
  const contents = (snapshot: Snapshot): Contents => [...snapshot].map(([name, { shape }]) => [name, shape]);
  const written: Header = { version: VERSION, ...rest, current: contents(current), best: contents(best) };
  const header = Buffer.from(JSON.stringify(written));
  const start = Buffer.alloc(4 + Math.ceil(header.length / 4) * 4, ' ');
  start.writeUInt32LE(start.length - 4);
  header.copy(start, 4);
  const arrays = [...current.values(), ...best.values()].map(({ data }) => data);
  return Buffer.concat([
    start,
    ...arrays.map((array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)),
  ]);
}

/** null if the bytes are of another version. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + buffer.readUInt32LE(0);
  const { version, current, best, ...rest } = JSON.parse(buffer.toString('utf8', 4, start)) as Header;
  if (version !== VERSION) return null;
  let at = start;
  const take = (contents: Contents): Snapshot =>
    new Map(
      contents.map(([name, shape]) => {
        const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
        new Uint8Array(data.buffer).set(buffer.subarray(at, at + data.byteLength));
        at += data.byteLength;
        return [name, { shape, data }];
      }),
    );
  return { ...rest, current: take(current), best: take(best) };
}
