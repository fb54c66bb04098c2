/**
 * BullMQ as the queue of job ids, one queue per pool: on Redis where there is one, else in Postgres. Entries carry an
 * id and nothing else; who may run a job is decided by the claim in the database, so an entry too many does no harm and
 * a lost one is made again.
 */
import {
  createPostgresBackend,
  Queue,
  Worker,
  type Job,
  type JobsOptions,
  type PostgresConnectionOptions,
  type WorkerOptions,
} from 'bullmq';
import { Redis } from 'ioredis';
import type { JobQueue, Pool } from '../jobs/ports/queue.ts';

export interface QueueLocation {
  /** `null`: in Postgres. */
  readonly redisUrl: string | null;
  readonly databaseUrl: string;
  /** Errors of connections that mend themselves. */
  onError?(error: Error): void;
}

const POOLS: readonly Pool[] = ['cpu', 'gpu'];
const LOCK_MS = 30_000;
/** BullMQ's own schema; Lathe's tables are in `public`. */
const POSTGRES_SCHEMA = 'bullmq';
const COMMAND_TIMEOUT_MS = 10_000;

/**
 * An entry of the same job and round that is still there is left as it is. Ended entries go at once, so that a job can
 * be queued again.
 */
const JOB_OPTIONS: JobsOptions = {
  removeOnComplete: true,
  removeOnFail: true,
  attempts: 1000,
  backoff: { type: 'fixed', delay: 1000 },
};
const WORKER_OPTIONS = {
  lockDuration: LOCK_MS,
  stalledInterval: LOCK_MS / 2,
  maxStalledCount: 1000,
  drainDelay: 5,
  autorun: true,
} as const;

type Handler = (jobId: string, signal: AbortSignal) => Promise<void>;

/** What differs between Redis and Postgres: how queues and workers are made, and how the connections end. */
interface Backend {
  queue(name: string): Queue;
  worker(
    name: string,
    handle: (entry: Job, token?: string, signal?: AbortSignal) => Promise<void>,
    concurrency: number,
  ): Worker;
  close(): Promise<void>;
}

/** Resolves when the queue can be used (its tables made, where it is in Postgres). */
export async function openQueue(location: QueueLocation): Promise<JobQueue> {
  const onError = location.onError ?? (() => undefined);
  const backend = location.redisUrl === null ? postgres(location.databaseUrl) : redis(location.redisUrl, onError);
  const queues = new Map(POOLS.map((pool) => [pool, backend.queue(`lathe-${pool}`)]));
  for (const queue of queues.values()) queue.on('error', onError);
  const of = (pool: Pool): Queue => queues.get(pool) as Queue;
  try {
    for (const queue of queues.values()) await withTimeout(queue.waitUntilReady());
  } catch (error) {
    await backend.close();
    throw new Error(`The queue cannot be reached: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  return {
    async enqueue(pool, jobId, round = 0) {
      await withTimeout(of(pool).add('job', { id: jobId }, { ...JOB_OPTIONS, jobId: `${jobId}-${round}` }));
    },
    consume: (pool, concurrency, handle) => consume(backend, { pool, concurrency, handle, onError }),
    async depth(pool) {
      return Object.values(await withTimeout(of(pool).getJobCounts('waiting', 'delayed', 'prioritized'))).reduce(
        (sum, count) => sum + count,
        0,
      );
    },
    async ping() {
      await withTimeout(of('cpu').getJobCounts('waiting'));
    },
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close().catch(() => undefined)));
      await backend.close();
    },
  };
}

interface Consumption {
  readonly pool: Pool;
  readonly concurrency: number;
  readonly handle: Handler;
  onError(error: Error): void;
}

async function consume(
  backend: Backend,
  { pool, concurrency, handle, onError }: Consumption,
): Promise<{ close(): Promise<void> }> {
  const never = new AbortController().signal;
  const worker = backend.worker(
    `lathe-${pool}`,
    (entry, _token, signal) => handle((entry.data as { id: string }).id, signal ?? never),
    concurrency,
  );
  worker.on('error', onError);
  // Whoever lost the lock is no longer alone with the entry.
  worker.on('lockRenewalFailed', (ids) => {
    for (const id of ids) worker.cancelJob(id, 'the lock of the queue entry was lost');
  });
  await worker.waitUntilReady();
  return { close: () => worker.close() };
}

/** A command to a Redis that is away must not wait for its return: whoever asked has something better to do. */
function redis(url: string, onError: (error: Error) => void): Backend {
  const connections: Redis[] = [];
  const connect = (options: object): Redis => {
    const connection = new Redis(url, { ...options, retryStrategy: (times) => Math.min(times * 100, 2000) });
    connection.on('error', onError);
    connections.push(connection);
    return connection;
  };
  const producing = connect({ maxRetriesPerRequest: 1 });
  return {
    queue: (name) => new Queue(name, { connection: producing }),
    worker: (name, handle, concurrency) =>
      new Worker(name, handle, {
        ...WORKER_OPTIONS,
        concurrency,
        connection: connect({ maxRetriesPerRequest: null }),
      }),
    async close() {
      for (const connection of connections) connection.disconnect();
    },
  };
}

function postgres(connectionString: string): Backend {
  // Each queue and worker has its own small pool; they all are of one process.
  const connection: PostgresConnectionOptions = {
    connectionString,
    schema: POSTGRES_SCHEMA,
    migrate: true,
    max: 3,
    connectionTimeoutMillis: 5000,
    keepAlive: true,
  };
  const options: WorkerOptions<PostgresConnectionOptions> = { ...WORKER_OPTIONS, connection };
  return {
    queue: (name) => new Queue(name, { connection }, createPostgresBackend) as unknown as Queue,
    worker: (name, handle, concurrency) =>
      new Worker(name, handle as never, { ...options, concurrency }, createPostgresBackend) as unknown as Worker,
    close: async () => undefined,
  };
}

function withTimeout<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${COMMAND_TIMEOUT_MS} ms`)), COMMAND_TIMEOUT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
