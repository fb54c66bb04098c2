/** Threads that make batches. They end when the pool is closed, or after a time without work. */
import { Piscina } from 'piscina';
import { LatheError } from '../../../errors.ts';
import { processEntry } from '../../../process/entry.ts';
import type { BrokenSample } from './batch-maker.ts';
import type { WorkerAnswer, WorkerSetup, WorkerTask } from './worker.ts';

export interface WorkerPool {
  readonly threads: number;
  /** @throws LatheError what making the batch throws; Error where the thread died */
  make(task: WorkerTask): Promise<readonly BrokenSample[]>;
  /** Ends the threads after the batches in progress. */
  finish(): Promise<void>;
  /** Ends the threads at once; batches in progress fail. */
  destroy(): Promise<void>;
}

/** Long enough for a validation pass between two epochs. */
const IDLE_MS = 30_000;
/** A second batch waits in each thread, so that it has work while the training process computes a step. */
const BATCHES_PER_THREAD = 2;

export function startPool(threads: number, setup: WorkerSetup): WorkerPool {
  const pool = new Piscina<WorkerTask, WorkerAnswer>({
    filename: processEntry('load-batches').path,
    minThreads: 0,
    maxThreads: threads,
    idleTimeout: IDLE_MS,
    concurrentTasksPerWorker: BATCHES_PER_THREAD,
    workerData: setup,
  });
  return {
    threads,
    async make(task) {
      const answer = await pool.run(task);
      if ('broken' in answer) return answer.broken;
      const { code, message, errors } = answer.failure;
      throw new LatheError(code, message, errors);
    },
    finish: () => pool.close(),
    destroy: () => pool.destroy(),
  };
}
