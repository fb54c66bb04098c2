/** The relay on real Postgres and a real queue. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestPostgres, type TestPostgres } from '../../test/support/postgres.ts';
import { newId } from '../ids.ts';
import { createLog } from '../log.ts';
import { openQueue } from '../queue/open.ts';
import { PostgresChangeFeed } from '../store/change-feed.ts';
import { migrate } from '../store/migrate.ts';
import { openStore, type Store } from '../store/open.ts';
import type { JobQueue, Pool } from './ports/queue.ts';
import { poolFor, Relay, type RelayTiming } from './relay.ts';

let postgres: TestPostgres;
let store: Store;
let queue: JobQueue;
let feed: PostgresChangeFeed;
let tenantId: string;
let modelId: string;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.stop());

beforeEach(async () => {
  const url = await postgres.emptyDatabase();
  await migrate(url);
  store = openStore(url);
  queue = await openQueue({ redisUrl: null, databaseUrl: url });
  feed = new PostgresChangeFeed(url);
  await store.keys.add({ id: newId('key'), tenant: 'us', name: 'k', role: 'member', prefix: 'p', mac: 'mac' });
  tenantId = (await store.keys.authenticate('mac'))!.tenantId;
  const description = {
    format: 'onnx',
    parameters: 0,
    macs: 0,
    inputs: [],
    outputs: [],
    opset: 17,
    operators: {},
    trainable: true,
    untrainable: [],
    warnings: [],
  } as const;
  modelId = (
    await store.models.add({
      id: newId('model'),
      tenantId,
      name: 'm',
      sha256: '0'.repeat(64),
      sizeBytes: 1,
      description: structuredClone(description) as never,
    })
  ).id;
});
afterEach(async () => {
  await Promise.all([queue.close(), feed.close()]);
  await store.close();
});

const relay = (timing: Partial<RelayTiming> = {}, to: JobQueue = queue) =>
  new Relay({
    store: store.relay,
    queue: to,
    workers: store.workers,
    feed,
    log: createLog('api', 'silent'),
    maxAttempts: 3,
    timing: { sweepIntervalMs: 200, ...timing },
  });

async function submit(device: 'auto' | 'cpu' | 'gpu', limits: { queueSeconds?: number } = {}): Promise<string> {
  const id = newId('job');
  const { outcome } = await store.jobs.insert(
    {
      id,
      tenantId,
      request: { model: modelId, device, limits, steps: [{ technique: 'retrain' }] },
      modelIds: [modelId],
    },
    { idempotency: null, activeJobs: 1000, answerOf: () => null },
  );
  expect(outcome).toBe('inserted');
  return id;
}

const worker = (pool: Pool) =>
  store.workers.announce({
    id: `wrk_${pool}`,
    pool,
    host: 'h',
    pid: 1,
    devices: [],
    engine: 'e',
    slots: 1,
    jobs: [],
    startedAt: new Date(),
  });
const typesOf = async (id: string) => (await store.jobs.events(id, 0, 100)).map(({ type }) => type);

describe('the relay', () => {
  test('brings a job to the queue as soon as it is submitted', async () => {
    const running = relay({ sweepIntervalMs: 60_000 });
    await new Promise((resolve) => setTimeout(resolve, 500)); // the first look is over, and found nothing
    await submit('cpu');
    await submit('gpu');
    await expect
      .poll(async () => [await queue.depth('cpu'), await queue.depth('gpu')], { timeout: 3000 })
      .toEqual([1, 1]);
    await running.stop();
  });

  test('brings what it was not there for', async () => {
    for (let i = 0; i < 120; i++) await submit('cpu');
    const running = relay();
    await expect.poll(() => queue.depth('cpu'), { timeout: 20_000 }).toBe(120);
    await running.stop();
  });

  test('tries again what the queue did not take', async () => {
    const id = await submit('cpu');
    let refusals = 0;
    const away: JobQueue = {
      ...queue,
      enqueue: (...entry) => {
        if (refusals++ < 2) return Promise.reject(new Error('the queue is away'));
        return queue.enqueue(...entry);
      },
    };
    const running = relay({}, away);
    await expect.poll(() => queue.depth('cpu'), { timeout: 10_000 }).toBe(1);
    expect(refusals).toBe(3);
    expect(await store.relay.queuedAmong([id])).toHaveLength(1);
    await running.stop();
  }, 20_000);

  test('brings what a relay took that died', async () => {
    await submit('cpu');
    expect(await store.relay.claimOutbox(10, 1500)).toHaveLength(1);
    const running = relay();
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(await queue.depth('cpu')).toBe(0);
    await expect.poll(() => queue.depth('cpu'), { timeout: 10_000 }).toBe(1);
    await running.stop();
  }, 20_000);

  test('makes a lost queue entry again', async () => {
    const running = relay({ reenqueueAfterMs: 500 });
    const id = await submit('cpu');
    await expect.poll(() => queue.depth('cpu'), { timeout: 5000 }).toBe(1);
    const taken: string[] = [];
    // A worker that dies right after it took the entry, before it claimed the job.
    const consumer = await queue.consume('cpu', 1, async (jobId) => void taken.push(jobId));
    await expect.poll(() => taken.length, { timeout: 15_000 }).toBeGreaterThan(1);
    expect(new Set(taken)).toEqual(new Set([id]));
    await consumer.close();
    await running.stop();
  });

  test('tells that a job for the GPU waits, and lets it expire', async () => {
    await worker('cpu');
    const running = relay({ notifyWaitingAfterMs: 0 });
    const id = await submit('gpu', { queueSeconds: 2 });
    await expect.poll(() => typesOf(id), { timeout: 8000 }).toEqual(['queued', 'waiting', 'expired']);
    const [, waiting] = await store.jobs.events(id, 0, 2);
    expect(waiting?.data.message).toMatch(/No GPU worker is connected/);
    expect(await store.jobs.find(tenantId, id)).toMatchObject({
      state: 'expired',
      error: { code: 'deadline-exceeded' },
    });
    await running.stop();
  });

  test('says nothing of waiting where there is a worker', async () => {
    await worker('cpu');
    const running = relay({ notifyWaitingAfterMs: 0 });
    const id = await submit('auto');
    await expect.poll(() => queue.depth('cpu'), { timeout: 5000 }).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(await typesOf(id)).toEqual(['queued']);
    await running.stop();
  });

  test('gives a job whose worker was lost to the queue again', async () => {
    const running = relay();
    const id = await submit('cpu');
    const got: string[] = [];
    const consumer = await queue.consume('cpu', 1, async (jobId) => {
      got.push(jobId);
      if (got.length === 1) await store.workerJobs.claim(jobId, 'wrk_dies', 300);
    });
    await expect.poll(() => got, { timeout: 15_000 }).toEqual([id, id]);
    expect(await typesOf(id)).toEqual(['queued', 'started', 'retrying']);
    await consumer.close();
    await running.stop();
  });
});

test('any device is a GPU where a worker has one', () => {
  expect(poolFor('auto', new Set(['cpu', 'gpu']))).toBe('gpu');
  expect(poolFor('auto', new Set(['cpu']))).toBe('cpu');
  expect(poolFor('auto', new Set())).toBe('cpu');
  expect(poolFor('cpu', new Set(['gpu']))).toBe('cpu');
  expect(poolFor('gpu', new Set(['cpu']))).toBe('gpu');
});
