/**
 * Brings jobs from Postgres to the queue and looks after those that nobody else does: too long in the queue, worker
 * lost, queue entry lost, no worker for them. Runs in each API process; they share the work.
 */
import type { Log } from '../log.ts';
import { handleRows, type OutboxHandlers } from './outbox.ts';
import type { ChangeFeed } from './ports/change-feed.ts';
import type { JobEvent } from './ports/events.ts';
import type { JobQueue, Pool } from './ports/queue.ts';
import type { RelayStore } from './ports/relay.ts';
import type { WorkerRegistry } from './ports/worker-side.ts';

export interface RelayDeps {
  readonly store: RelayStore;
  readonly queue: JobQueue;
  readonly workers: WorkerRegistry;
  readonly feed: ChangeFeed;
  readonly log: Log;
  readonly maxAttempts: number;
  readonly timing?: Partial<RelayTiming>;
}

export interface RelayTiming {
  /** Between looks at outbox and jobs where nothing wakes the relay. */
  readonly sweepIntervalMs: number;
  /** A queued job's entry is made anew after this, in case it was lost; one that is still there is left alone. */
  readonly reenqueueAfterMs: number;
  /** A worker that was not seen for so long does not count. */
  readonly workerTimeoutMs: number;
  /** Outbox rows that a relay took and did not finish within this are taken again. */
  readonly claimMs: number;
  /** So long a job may lie in a pool without workers before that is told. */
  readonly notifyWaitingAfterMs: number;
}

const DEFAULT_TIMING: RelayTiming = {
  sweepIntervalMs: 1000,
  reenqueueAfterMs: 20_000,
  workerTimeoutMs: 15_000,
  claimMs: 30_000,
  notifyWaitingAfterMs: 1000,
};
const BATCH_SIZE = 100;
const IDEMPOTENCY_KEY_TTL_MS = 24 * 3600 * 1000;
const WORKER_TTL_MS = 3600 * 1000;

export class Relay {
  readonly #deps: RelayDeps;
  readonly #timing: RelayTiming;
  readonly #unsubscribe: () => void;
  readonly #handlers: OutboxHandlers = {
    'job-queued': (payloads) => this.#enqueue(payloads.map(({ jobId }) => jobId)),
  };
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | null = null;
  #isRerunRequested = false;
  #stopped = false;
  #purgedAt = 0;

  constructor(deps: RelayDeps) {
    this.#deps = deps;
    this.#timing = { ...DEFAULT_TIMING, ...deps.timing };
    this.#unsubscribe = deps.feed.onOutbox(() => this.wake());
    this.wake();
  }

  /** Looks now, or once more where a look is under way. */
  wake(): void {
    if (this.#stopped) return;
    if (this.#working) {
      this.#isRerunRequested = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#working = this.#runTasks().finally(() => {
      this.#working = null;
      const soon = this.#isRerunRequested;
      this.#isRerunRequested = false;
      if (!this.#stopped) this.#timer = setTimeout(() => this.wake(), soon ? 0 : this.#timing.sweepIntervalMs);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe();
    clearTimeout(this.#timer);
    await this.#working;
  }

  /** One failing task (the queue is away, say) does not stop the others. */
  async #runTasks(): Promise<void> {
    for (const part of [
      () => this.#relay(),
      () => this.#sweep(),
      () => this.#reenqueue(),
      () => this.#notifyWaiting(),
      () => this.#purge(),
    ]) {
      try {
        await part();
      } catch (error) {
        this.#deps.log.warn(
          { error: error instanceof Error ? error.message : String(error) },
          'relay: a task failed and will be retried',
        );
      }
    }
  }

  async #relay(): Promise<void> {
    while (!this.#stopped && (await this.#handleBatch()) === BATCH_SIZE);
  }

  /** @returns number of rows that are done */
  async #handleBatch(): Promise<number> {
    const { store, log } = this.#deps;
    const rows = await store.claimOutbox(BATCH_SIZE, this.#timing.claimMs);
    if (rows.length === 0) return 0;
    const { done, failed, unknown } = await handleRows(rows, this.#handlers);
    await store.completeOutbox(done);
    if (unknown.length > 0)
      log.warn(
        { rows: unknown.map(({ id, kind, version }) => ({ id: String(id), kind, version })) },
        'outbox rows of an unknown kind or version are left for another release',
      );
    for (const { ids, error } of failed) {
      await store.releaseOutbox(ids);
      throw error;
    }
    return done.length;
  }

  async #enqueue(jobIds: readonly string[]): Promise<void> {
    const { store, queue } = this.#deps;
    const [jobs, pools] = [await store.queuedAmong(jobIds), await this.#livePools()];
    const byPool = new Map<Pool, string[]>();
    await Promise.all(
      jobs.map(({ id, device, fence }) => {
        const pool = poolFor(device, pools);
        byPool.set(pool, [...(byPool.get(pool) ?? []), id]);
        return queue.enqueue(pool, id, fence);
      }),
    );
    for (const [pool, ids] of byPool) await store.markEnqueued(ids, pool);
  }

  async #sweep(): Promise<void> {
    const { store, log, maxAttempts } = this.#deps;
    for (const job of await store.expireOverdue()) log.info({ job, state: 'expired' }, 'job expired in the queue');
    const { requeued, ended } = await store.reclaimLost(maxAttempts);
    for (const job of requeued) log.warn({ job, state: 'queued' }, 'job is back in the queue: its worker was lost');
    for (const job of ended) log.warn({ job }, 'job ended: its worker was lost');
  }

  /** Also moves jobs for any device to a pool that has workers. */
  async #reenqueue(): Promise<void> {
    const { store, queue } = this.#deps;
    const jobs = await store.queuedBefore(new Date(Date.now() - this.#timing.reenqueueAfterMs), BATCH_SIZE);
    if (jobs.length === 0) return;
    const pools = await this.#livePools();
    for (const { id, device, fence } of jobs) {
      const pool = poolFor(device, pools);
      await queue.enqueue(pool, id, fence);
      await store.markEnqueued([id], pool);
    }
  }

  async #notifyWaiting(): Promise<void> {
    const { store } = this.#deps;
    const pools = await this.#livePools();
    if (pools.has('cpu') && pools.has('gpu')) return;
    for (const { id, device, waiting } of await store.queuedBefore(
      new Date(Date.now() - this.#timing.notifyWaitingAfterMs),
      BATCH_SIZE,
    )) {
      const isWaiting = !pools.has(poolFor(device, pools));
      if (isWaiting !== waiting) await store.setWaiting(id, isWaiting ? waitingEvent(device) : null);
    }
  }

  async #purge(): Promise<void> {
    const now = Date.now();
    if (now - this.#purgedAt < WORKER_TTL_MS) return;
    this.#purgedAt = now;
    await this.#deps.store.deleteIdempotencyKeys(new Date(now - IDEMPOTENCY_KEY_TTL_MS));
    await this.#deps.store.deleteWorkers(new Date(now - WORKER_TTL_MS));
  }

  async #livePools(): Promise<ReadonlySet<Pool>> {
    return new Set((await this.#deps.workers.live(this.#timing.workerTimeoutMs)).map(({ pool }) => pool));
  }
}

/** `auto` takes a GPU where a worker has one. */
export function poolFor(device: string, live: ReadonlySet<Pool>): Pool {
  if (device === 'cpu' || device === 'gpu') return device;
  return live.has('gpu') ? 'gpu' : 'cpu';
}

function waitingEvent(device: string): JobEvent {
  const kind = device === 'gpu' ? 'GPU worker' : 'worker';
  return {
    type: 'waiting',
    data: {
      device,
      message:
        `No ${kind} is connected. ` +
        'The job waits for one, until its time limit in the queue (limits.queueSeconds) is reached.',
    },
  };
}
