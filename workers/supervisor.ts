/**
 * The supervisor: takes jobs from the queue, one job process for each, and watches each until it ends. It never
 * computes. SIGTERM: the jobs that run go back to the queue, then it ends.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { openArtifacts } from '../src/artifacts/open.ts';
import { parseConfig } from '../src/config/config.ts';
import type { Pool } from '../src/jobs/ports/queue.ts';
import { createLog } from '../src/log.ts';
import { openQueue } from '../src/queue/open.ts';
import { openStore } from '../src/store/open.ts';
import { endWithParent } from '../src/process/end-with-parent.ts';
import { PoolWorker, type PoolWorkerDeps } from './supervisor/pool-worker.ts';
import { probeEngine, type ProbedEngine } from './supervisor/probe.ts';
import { Scratch } from './supervisor/scratch.ts';
import { supervisorSettings, type SupervisorSettings } from './supervisor/settings.ts';

const SWEEP_INTERVAL_MS = 30_000;
const HEALTH_INTERVAL_MS = 10_000;
/**
 * A stop does not wait longer than this for an unreachable database or queue: leases run out, and other workers take
 * over.
 */
const STOP_TIMEOUT_MS = 5000;

const config = parseConfig(process.env);
const settings = supervisorSettings(process.env);
const log = createLog('supervisor', config.logLevel);
const stopRequested = new Promise<string>((resolve) => {
  process.once('SIGTERM', () => resolve('SIGTERM'));
  process.once('SIGINT', () => resolve('SIGINT'));
  endWithParent(() => resolve('its launcher is gone'));
});

mkdirSync(settings.scratchFolder, { recursive: true });
const engine = await probeEngine();
const store = openStore(config.databaseUrl, { maxAttempts: settings.maxAttempts });
const queue = await openQueue({
  redisUrl: config.redisUrl,
  databaseUrl: config.databaseUrl,
  onError: (error) => log.warn({ error: error.message }, 'queue'),
});
const deps: PoolWorkerDeps = {
  jobs: store.workerJobs,
  registry: store.workers,
  queue,
  blobs: await openArtifacts(config),
  scratch: new Scratch(settings.scratchFolder),
  settings,
  engine,
  log: (message, fields = {}) => log.info(fields, message),
};
const workers = poolsOf(settings, engine).map((pool) => new PoolWorker(pool, deps));
for (const worker of workers) await worker.start();
const sweeping = setInterval(() => void sweep(), SWEEP_INTERVAL_MS);
const health = setInterval(() => void reportHealth(), HEALTH_INTERVAL_MS);
await sweep();
await reportHealth();
log.info(
  {
    engine: engine.name,
    version: engine.version,
    reason: engine.reason,
    devices: engine.devices,
    pools: workers.map(({ id }) => id),
  },
  'ready',
);
process.send?.('ready');

log.info({ why: await stopRequested }, 'stopping');
setTimeout(() => {
  log.warn({ afterMs: STOP_TIMEOUT_MS }, 'database or queue did not close in time');
  process.exit(1);
}, STOP_TIMEOUT_MS);
clearInterval(sweeping);
clearInterval(health);
await Promise.all(
  workers.map((worker) =>
    worker.stop().catch((error: unknown) => log.warn({ error: String(error) }, 'not stopped cleanly')),
  ),
);
await queue.close();
await store.close();
log.info('stopped');
process.exit(0);

/** `gpu` only if the engine sees a GPU: without one, every GPU job would fail. */
function poolsOf({ pools }: SupervisorSettings, { gpu }: ProbedEngine): Pool[] {
  const wanted = pools ?? (gpu ? ['cpu', 'gpu'] : ['cpu']);
  const possible = wanted.filter((pool) => pool !== 'gpu' || gpu);
  if (possible.length < wanted.length)
    log.warn({ engine: engine.name, devices: engine.devices }, 'no GPU is seen: the pool gpu is not served');
  if (possible.length === 0)
    throw new Error('LATHE_POOLS is gpu alone, but the engine sees no GPU ("npx lathe doctor" says why)');
  return [...new Set(possible)];
}

async function sweep(): Promise<void> {
  const running = new Set(workers.flatMap((worker) => [...worker.running]));
  try {
    const removed = await deps.scratch.sweep(running, (ids) => deps.jobs.endedOf(ids));
    if (removed.length > 0) log.info({ jobs: removed }, 'scratch folders of ended jobs removed');
  } catch (error) {
    log.warn({ error: String(error) }, 'scratch folders not swept');
  }
}

/** For a container's health check: the file is fresh while the database answers. */
async function reportHealth(): Promise<void> {
  const path = settings.healthFile;
  if (path === null) return;
  try {
    await store.ping();
    writeFileSync(path, new Date().toISOString());
  } catch (error) {
    log.warn({ error: String(error) }, 'the database does not answer');
  }
}
