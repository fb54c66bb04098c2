/** What a worker delivers for the batches that it was given. */
import type { Contribution } from './parameter-server.ts';

export interface WorkerResult {
  readonly contribution: Contribution;
  /** Means over the samples: the loss, then each term. */
  readonly losses: readonly number[];
}

/** Means over the samples of all results. @param samples their sum */
export function meanLosses(results: readonly WorkerResult[], samples: number): number[] {
  return (results[0]?.losses ?? []).map((_, i) =>
    results.reduce((sum, { losses, contribution }) => sum + ((losses[i] ?? NaN) * contribution.samples) / samples, 0),
  );
}
