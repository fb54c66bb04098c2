/** What the benchmark of pipelines tells its parts, and what they answer. */
import type { Pass, Schedule } from '../../src/compression/parallel/pipeline/schedule.ts';

export interface PartRequest {
  readonly part: number;
  readonly schedule: Schedule;
  /** For the sockets. */
  readonly folder: string;
  readonly forwardMs: number;
  /** Of each value that crosses a cut, and of its gradient. */
  readonly kib: number;
  readonly batches: number;
}

/** On the clock that all processes of a machine share, in ms; of the batches after a first one, which warms up. */
export interface PartAnswer {
  readonly startedAt: number;
  readonly endedAt: number;
}

/** A whole backward pass takes as long as two forward ones; in a schedule that splits it, each half as long as one. */
export function delayOf({ kind }: Pass, forwardMs: number, splits = false): number {
  return kind === 'backward' && !splits ? 2 * forwardMs : forwardMs;
}
