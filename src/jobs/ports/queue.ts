/** The queue of job ids, one for each pool; src/queue/ implements it. */

export type Pool = 'cpu' | 'gpu';

/** The queue carries ids only; Postgres is the truth. */
export interface JobQueue {
  /**
   * One entry per job and round. A job that a worker gives back starts a new round (its fencing number), so that the
   * old entry, which a dead or stopping worker still holds, does not block it.
   */
  enqueue(pool: Pool, jobId: string, round?: number): Promise<void>;
  /**
   * Starts taking ids of a pool, at most `concurrency` at a time. `handle` resolves when the job is no longer this
   * worker's; its signal is aborted when the entry's lock is lost, and another consumer may get the id.
   */
  consume(
    pool: Pool,
    concurrency: number,
    handle: (jobId: string, signal: AbortSignal) => Promise<void>,
  ): Promise<{ close(): Promise<void> }>;
  depth(pool: Pool): Promise<number>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
