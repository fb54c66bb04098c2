/** A worker against the real database, queue, artifact store and job processes; only the API is absent. */
import { createReadStream, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ArtifactStore } from '../../src/artifacts/artifact-store.ts';
import { openLocalBlobs } from '../../src/artifacts/local.ts';
import { readModel } from '../../src/compression/formats/read-model.ts';
import { describeModel } from '../../src/compression/graph/describe.ts';
import type { Step } from '../../src/contracts/job-request.ts';
import { newId } from '../../src/ids.ts';
import type { StoredJob } from '../../src/jobs/ports/api-side.ts';
import type { JobQueue } from '../../src/jobs/ports/queue.ts';
import { isEnded } from '../../src/contracts/job-states.ts';
import { isAlive } from '../../src/process/liveness.ts';
import { projectRoot } from '../../src/process/entry.ts';
import { openQueue } from '../../src/queue/open.ts';
import { migrate } from '../../src/store/migrate.ts';
import { openStore, type Store } from '../../src/store/open.ts';
import { startTestPostgres, type TestPostgres } from '../../test/support/postgres.ts';
import { PoolWorker } from './pool-worker.ts';
import { Scratch } from './scratch.ts';
import { supervisorSettings } from './settings.ts';

const MODEL = join(projectRoot, 'examples/digit_cnn.onnx');
const FLOAT16: Step[] = [{ technique: 'quantize', precision: 'float16', method: 'cast' }];

let folder: string;
let postgres: TestPostgres;
let store: Store;
let queue: JobQueue;
let blobs: ArtifactStore;
let worker: PoolWorker;
let tenantId: string;
let modelId: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-worker-'));
  postgres = await startTestPostgres();
  const databaseUrl = await postgres.emptyDatabase();
  await migrate(databaseUrl);
  store = openStore(databaseUrl);
  queue = await openQueue({ redisUrl: null, databaseUrl });
  blobs = await openLocalBlobs(join(folder, 'artifacts'));
  await addModel();
  worker = newWorker();
  await worker.start();
});
afterAll(async () => {
  await worker?.stop();
  await queue?.close();
  await store?.close();
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** @param entryLost stands for the loss of every entry's lock (src/queue/open.test.ts: how the queue tells that) */
function newWorker(entryLost?: AbortSignal): PoolWorker {
  const settings = supervisorSettings({ LATHE_HOME: folder, LATHE_LEASE_SECONDS: '2', LATHE_MAX_ATTEMPTS: '3' });
  const engine = { name: 'tensorflow', version: 'x', reason: 'test', devices: ['CPU:0'], gpu: false };
  return new PoolWorker('cpu', {
    jobs: store.workerJobs,
    registry: store.workers,
    queue: entryLost ? losingEntries(entryLost) : queue,
    blobs,
    scratch: new Scratch(settings.scratchFolder),
    settings,
    engine,
    log: () => undefined,
  });
}

const losingEntries = (entryLost: AbortSignal): JobQueue => ({
  ...queue,
  consume: (pool, concurrency, handle) =>
    queue.consume(pool, concurrency, (id, signal) => handle(id, AbortSignal.any([signal, entryLost]))),
});

async function addModel(): Promise<void> {
  await store.keys.add({ id: newId('key'), tenant: 'test', name: 'test', role: 'member', prefix: 'x', mac: 'mac' });
  tenantId = (await store.keys.authenticate('mac'))!.tenantId;
  const { format, model } = await readModel(readFileSync(MODEL));
  const blob = await blobs.put(createReadStream(MODEL), 1e9);
  modelId = (
    await store.models.add({
      id: newId('model'),
      tenantId,
      name: 'digits',
      ...blob,
      description: describeModel(model, format),
    })
  ).id;
}

async function submit(steps: Step[], limits = {}): Promise<string> {
  const id = newId('job');
  const inserted = await store.jobs.insert(
    { id, tenantId, request: { model: modelId, steps, limits }, modelIds: [modelId] },
    { idempotency: null, activeJobs: 100, answerOf: () => null },
  );
  expect(inserted.outcome).toBe('inserted');
  await queue.enqueue('cpu', id);
  return id;
}

async function ended(id: string): Promise<StoredJob> {
  for (let tries = 0; tries < 600; tries++) {
    const job = await store.jobs.find(tenantId, id);
    if (job && isEnded(job.state)) return job;
    await sleep(50);
  }
  throw new Error(`${id} did not end`);
}

/** Scratch folders there are, once the worker is done with the job. */
async function scratchLeft(): Promise<string[]> {
  while (worker.running.size > 0) await sleep(20);
  return readdirSync(join(folder, 'scratch'));
}

test('shows itself in the registry', async () => {
  expect(await store.workers.live(10_000)).toMatchObject([
    { id: worker.id, pool: 'cpu', pid: process.pid, devices: ['CPU:0'], jobs: [] },
  ]);
});

test('runs a job: files in the artifact store, report, events, no scratch', async () => {
  const job = await ended(await submit(FLOAT16));
  expect(job).toMatchObject({ state: 'succeeded', error: null, progress: 1 });
  expect(job.artifacts.map(({ name, format }) => [name, format])).toEqual(
    expect.arrayContaining([
      ['model.onnx', 'onnx'],
      ['manifest.json', 'json'],
    ]),
  );
  for (const { sha256 } of job.artifacts) expect(await blobs.has(sha256)).toBe(true);
  expect(job.report!.after.sizeBytes).toBeLessThan(0.52 * job.report!.before.sizeBytes);
  expect(await scratchLeft()).toEqual([]);
});

test('starts the engine again when it dies', async () => {
  const id = await submit(FLOAT16);
  const killed = await killJobProcess();
  expect(killed).toBeGreaterThan(0);
  expect(await ended(id)).toMatchObject({ state: 'succeeded' });
  expect((await store.jobs.events(id, 0, 100)).map(({ type }) => type)).toContain('retrying');
  expect(await scratchLeft()).toEqual([]);
});

test("ends a job that the engine refuses, with the engine's code", async () => {
  const job = await ended(await submit([{ technique: 'retrain', epochs: 1 }]));
  expect(job).toMatchObject({ state: 'failed', error: { code: 'dataset-required' } });
  expect(await scratchLeft()).toEqual([]);
});

test('a job that was canceled in the queue is not run', async () => {
  const id = newId('job');
  await store.jobs.insert(
    { id, tenantId, request: { model: modelId, steps: FLOAT16 }, modelIds: [modelId] },
    { idempotency: null, activeJobs: 100, answerOf: () => null },
  );
  await store.jobs.cancel(tenantId, id);
  await queue.enqueue('cpu', id);
  await sleep(500);
  expect(await store.jobs.find(tenantId, id)).toMatchObject({ state: 'canceled', attempt: 0 });
});

test('gives a job back when it stops; another worker takes it', async () => {
  const id = await submit(FLOAT16);
  while (!worker.running.has(id)) await sleep(20);
  const asked = Date.now();
  await worker.stop();
  expect(Date.now() - asked).toBeLessThan(5000);
  expect(await store.jobs.find(tenantId, id)).toMatchObject({ state: 'queued' });
  expect(await store.workers.live(10_000)).toEqual([]);
  worker = newWorker();
  await worker.start();
  await queue.enqueue('cpu', id, 1);
  expect(await ended(id)).toMatchObject({ state: 'succeeded', attempt: 1 });
});

test('ends the engine of a job whose queue entry is lost, and gives the job back', async () => {
  await worker.stop();
  const lost = new AbortController();
  const unlucky = newWorker(lost.signal);
  await unlucky.start();
  const id = await submit(FLOAT16);
  const pid = await engineStarted();
  expect(pid).toBeGreaterThan(0);
  lost.abort();
  await expect.poll(() => unlucky.running.size, { timeout: 5000 }).toBe(0);
  expect(isAlive(pid)).toBe(false);
  expect(await store.jobs.find(tenantId, id)).toMatchObject({ state: 'queued', attempt: 0 });
  expect((await store.jobs.events(id, 0, 100)).at(-1)).toMatchObject({
    type: 'retrying',
    data: { reason: 'its queue entry was lost' },
  });
  await unlucky.stop();
  worker = newWorker();
  await worker.start();
  await queue.enqueue('cpu', id, 1);
  expect(await ended(id)).toMatchObject({ state: 'succeeded', attempt: 1 });
});

test('a job whose queue entry is lost again and again fails once its attempts are used up', async () => {
  await worker.stop();
  const unlucky = newWorker(AbortSignal.abort());
  await unlucky.start();
  const id = await submit(FLOAT16);
  const attempts: (number | undefined)[] = [];
  for (let round = 1; round <= 6; round++) {
    await expect.poll(() => givenBack(id), { timeout: 10_000 }).toBe(round);
    attempts.push((await store.jobs.find(tenantId, id))?.attempt);
    await queue.enqueue('cpu', id, round);
  }
  expect(attempts).toEqual([0, 0, 0, 1, 2, 3]);
  expect(await ended(id)).toMatchObject({ state: 'failed', error: { code: 'worker-lost' } });
  await unlucky.stop();
  worker = newWorker();
  await worker.start();
});

async function givenBack(id: string): Promise<number> {
  return (await store.jobs.events(id, 0, 100)).filter(({ type }) => type === 'retrying').length;
}

/** SIGKILL to the next job process of this worker. */
async function killJobProcess(): Promise<number> {
  const pid = await engineStarted();
  if (pid > 0) process.kill(pid, 'SIGKILL');
  return pid;
}

/** Id of the next job process of this worker; 0: none was started in time. */
async function engineStarted(): Promise<number> {
  for (let tries = 0; tries < 200; tries++) {
    const pid = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .find(isOwnJobProcess);
    if (pid !== undefined) return pid;
    await sleep(20);
  }
  return 0;
}

function isOwnJobProcess(pid: number): boolean {
  try {
    return (
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('workers/engine.js') &&
      readFileSync(`/proc/${pid}/environ`, 'utf8').includes(folder)
    );
  } catch {
    return false;
  }
}
