/** One pool's worker: registers itself, takes job ids from the queue, claims the jobs and runs them. */
import { randomBytes } from 'node:crypto';
import { LatheError } from '../../src/errors.ts';
import type { BlobStore } from '../../src/jobs/ports/blobs.ts';
import type { JobQueue, Pool } from '../../src/jobs/ports/queue.ts';
import type { Claim, WorkerJobStore, WorkerRegistry } from '../../src/jobs/ports/worker-side.ts';
import type { ProbedEngine } from './probe.ts';
import { runJob, type RunJobDeps } from './run-job.ts';
import type { Scratch } from './scratch.ts';
import type { SupervisorSettings } from './settings.ts';

export interface PoolWorkerDeps {
  readonly jobs: WorkerJobStore;
  readonly blobs: BlobStore;
  readonly queue: JobQueue;
  readonly registry: WorkerRegistry;
  readonly scratch: Scratch;
  readonly settings: SupervisorSettings;
  readonly engine: ProbedEngine;
  log(message: string, fields?: Record<string, unknown>): void;
}

const ANNOUNCE_INTERVAL_MS = 3000;

export class PoolWorker {
  readonly id: string;
  readonly #pool: Pool;
  readonly #deps: PoolWorkerDeps;
  readonly #drain = new AbortController();
  readonly #running = new Set<string>();
  readonly #startedAt = new Date();
  #consumer: { close(): Promise<void> } | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(pool: Pool, deps: PoolWorkerDeps) {
    this.id = `wrk_${pool}_${process.pid}_${randomBytes(4).toString('hex')}`;
    this.#pool = pool;
    this.#deps = deps;
  }

  /** Ids of the jobs that run here now. */
  get running(): ReadonlySet<string> {
    return this.#running;
  }

  async start(): Promise<void> {
    const { queue, settings } = this.#deps;
    await this.#announce();
    this.#timer = setInterval(
      () => void this.#announce().catch((error: unknown) => this.#deps.log('not announced', { error: String(error) })),
      ANNOUNCE_INTERVAL_MS,
    );
    this.#consumer = await queue.consume(this.#pool, settings.slots, (jobId, entryLost) =>
      this.#handle(jobId, entryLost),
    );
  }

  /** Takes no more jobs, gives those that run back to the queue, and leaves the registry. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#drain.abort();
    await this.#consumer?.close();
    await this.#deps.registry.remove(this.id);
  }

  async #handle(jobId: string, entryLost: AbortSignal): Promise<void> {
    const { jobs, settings, log } = this.#deps;
    if (this.#drain.signal.aborted) throw new Error('this worker is stopping');
    const claim = await jobs.claim(jobId, this.id, settings.leaseMs);
    if (!claim) {
      log('nothing to claim', { job: jobId });
      return;
    }
    log('job claimed', { job: jobId, fence: claim.fence, attempt: claim.attempt });
    this.#running.add(jobId);
    try {
      await this.#announce().catch(() => undefined);
      await runJob(claim, this.#jobDeps(), { drain: this.#drain.signal, entryLost });
    } catch (error) {
      await this.#handleError(claim, error);
    } finally {
      this.#running.delete(jobId);
    }
  }

  /**
   * Handles failures outside the job process. A permanent one ends the job; otherwise (database, disk) the lease runs
   * out, so that the next attempt comes after a pause and counts.
   */
  async #handleError({ jobId, fence }: Claim, error: unknown): Promise<void> {
    const { jobs, log } = this.#deps;
    log('job could not be run here', {
      job: jobId,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    if (!(error instanceof LatheError) || error.retryable) return;
    await jobs.fail(jobId, fence, { code: error.code, message: error.message, retryable: false }).catch(() => false);
  }

  #jobDeps(): RunJobDeps {
    const { jobs, blobs, scratch, settings, log } = this.#deps;
    return { jobs, blobs, scratch, log, settings: { ...settings, gpu: this.#pool === 'gpu' } };
  }

  #announce(): Promise<void> {
    const { engine, registry, settings } = this.#deps;
    return registry.announce({
      id: this.id,
      pool: this.#pool,
      host: settings.host,
      pid: process.pid,
      devices: engine.devices,
      engine: `${engine.name} ${engine.version}`,
      slots: settings.slots,
      jobs: [...this.#running],
      startedAt: this.#startedAt,
    });
  }
}
