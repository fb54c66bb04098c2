/** Prometheus metrics: requests, jobs, queue. What the database knows is read when it is asked for. */
import { Counter, Gauge, Histogram, collectDefaultMetrics, type Registry } from 'prom-client';
import type { Pool } from '../../jobs/ports/queue.ts';
import type { ApiDeps, App } from '../types.ts';

const POOLS: readonly Pool[] = ['cpu', 'gpu'];
const POLL_INTERVAL_MS = 5000;
const WORKER_TIMEOUT_MS = 15_000;

export function addObservation(app: App, { metrics: registry, store, queue, log }: ApiDeps): void {
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  observeRequests(app, registers);
  observeJobs(registers, store);
  observePools(registers, { store, queue });
  observeEndings(app, { registers, store, log });
}

function observeRequests(app: App, registers: Registry[]): void {
  const requests = new Histogram({
    name: 'lathe_http_request_duration_seconds',
    help: 'Time to answer',
    labelNames: ['method', 'route', 'status'],
    registers,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
  });
  app.addHook('onResponse', async (request, reply) => {
    requests.observe(
      { method: request.method, route: request.routeOptions.url ?? 'none', status: reply.statusCode },
      reply.elapsedTime / 1000,
    );
  });
}

function observeJobs(registers: Registry[], store: ApiDeps['store']): void {
  new Gauge({
    name: 'lathe_jobs',
    help: 'Jobs by state',
    labelNames: ['state'],
    registers,
    async collect() {
      for (const [state, count] of Object.entries(await store.jobs.countByState())) this.set({ state }, count);
    },
  });
}

function observePools(registers: Registry[], { store, queue }: Pick<ApiDeps, 'store' | 'queue'>): void {
  new Gauge({
    name: 'lathe_queue_depth',
    help: 'Queue entries that no worker has taken',
    labelNames: ['pool'],
    registers,
    async collect() {
      for (const pool of POOLS) this.set({ pool }, await queue.depth(pool));
    },
  });
  new Gauge({
    name: 'lathe_workers',
    help: 'Live workers',
    labelNames: ['pool'],
    registers,
    async collect() {
      const live = await store.workers.live(WORKER_TIMEOUT_MS);
      for (const pool of POOLS) this.set({ pool }, live.filter((worker) => worker.pool === pool).length);
    },
  });
}

/**
 * Each process counts the jobs that end while it runs, whichever worker ended them: add up over one process, not over
 * all.
 */
function observeEndings(
  app: App,
  { registers, store, log }: Pick<ApiDeps, 'store' | 'log'> & { registers: ApiDeps['metrics'][] },
): void {
  const ended = new Counter({
    name: 'lathe_jobs_ended_total',
    help: 'Jobs that have ended since this process started',
    labelNames: ['state'],
    registers,
  });
  const durations = new Histogram({
    name: 'lathe_job_duration_seconds',
    help: 'From the first worker to the end',
    labelNames: ['state'],
    registers,
    buckets: [1, 5, 15, 30, 60, 180, 600, 1800, 3600, 14_400],
  });
  let since = new Date();
  const timer = setInterval(() => {
    store.jobs.endedSince(since).then(
      (jobs) => {
        for (const { state, runSeconds, endedAt } of jobs) {
          ended.inc({ state });
          if (runSeconds !== null) durations.observe({ state }, runSeconds);
          since = endedAt;
        }
      },
      (error: unknown) => log.debug({ error: String(error) }, 'jobs that ended are counted later'),
    );
  }, POLL_INTERVAL_MS);
  timer.unref();
  app.addHook('onClose', async () => clearInterval(timer));
}
