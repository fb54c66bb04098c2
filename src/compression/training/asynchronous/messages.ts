/** What server and workers of an asynchronous training send each other. */
import type { Batch } from '../../data/dataset.ts';
import type { Tensors } from '../../parallel/async/tensors.ts';
import type { Snapshot } from '../snapshot.ts';

export interface BatchWork {
  readonly batch: Batch;
  /** Number in the training, from 0: the seed of what is random in it. */
  readonly step: number;
  /** Of local steps. */
  readonly learningRate: number;
}

export interface Work {
  readonly values: Tensors;
  readonly statistics: Tensors;
  /** What the server's constraints hold at present (masks), for local steps; else empty. */
  readonly constraints: Snapshot;
  readonly batches: readonly BatchWork[];
}

export interface Result {
  /** Whole, or encoded as the largest values (gradient-encoding.ts). */
  readonly gradient: Tensors | Uint8Array;
  readonly statistics: Tensors;
  readonly samples: number;
  readonly losses: readonly number[];
  readonly batches: number;
  readonly computeMs: number;
}

/** The weights that all continue with, and what the training returns. */
export interface End {
  readonly values: Tensors;
  readonly statistics: Tensors;
  readonly trained: unknown;
}
