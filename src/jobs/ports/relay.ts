/**
 * What the relay needs of the database: the outbox, and jobs that no worker takes care of; src/store/ implements it.
 */
import type { OutboxRow } from '../outbox.ts';
import type { JobEvent } from './events.ts';
import type { Pool } from './queue.ts';

/** The relay's side: from Postgres to the queue, and jobs that nobody looks after. */
export interface RelayStore {
  /**
   * Claims the oldest outbox rows that no relay holds; other relays get other rows. They are this relay's for
   * `claimMs`: those of one that died are claimed again after that. Holds no lock when it resolves.
   */
  claimOutbox(limit: number, claimMs: number): Promise<OutboxRow[]>;
  /** Their messages are handled: deletes the rows. */
  completeOutbox(ids: readonly bigint[]): Promise<void>;
  /** Any relay may claim the rows now. */
  releaseOutbox(ids: readonly bigint[]): Promise<void>;
  /** Those of the jobs that are queued. */
  queuedAmong(ids: readonly string[]): Promise<{ id: string; device: string; fence: number }[]>;
  /** Queued jobs that are past their deadline end `expired`. */
  expireOverdue(): Promise<string[]>;
  /** Jobs whose worker's lease ran out go back to the queue, or fail with `worker-lost` after `maxAttempts`. */
  reclaimLost(maxAttempts: number): Promise<{ requeued: string[]; ended: string[] }>;
  /** Queued jobs whose entry was last made sure of before `before`, oldest first. */
  queuedBefore(
    before: Date,
    limit: number,
  ): Promise<{ id: string; device: string; fence: number; pool: Pool | null; waiting: boolean; createdAt: Date }[]>;
  markEnqueued(ids: readonly string[], pool: Pool): Promise<void>;
  /** Marks a queued job as waiting (for a worker) or not, with an event where that changes. */
  setWaiting(id: string, event: JobEvent | null): Promise<void>;
  deleteIdempotencyKeys(before: Date): Promise<number>;
  deleteWorkers(before: Date): Promise<number>;
}
