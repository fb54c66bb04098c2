/**
 * The store on real Postgres: claims and fences, cancellation, leases, sweeps, pages, and text that Postgres does not
 * take.
 */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { REPORT } from '../../test/support/fixtures.ts';
import { startTestPostgres, type TestPostgres } from '../../test/support/postgres.ts';
import type { JobRequest } from '../contracts/job-request.ts';
import type { ModelDescription } from '../contracts/model.ts';
import { newId } from '../ids.ts';
import type { Claim, JobOutcome } from '../jobs/ports/worker-side.ts';
import { migrate } from './migrate.ts';
import { openStore, type Store } from './open.ts';

const LEASE_MS = 60_000;
const DESCRIPTION: ModelDescription = {
  format: 'onnx',
  parameters: 3,
  macs: 3,
  inputs: [],
  outputs: [],
  opset: 17,
  operators: {},
  trainable: true,
  untrainable: [],
  warnings: [],
};
const OUTCOME: JobOutcome = {
  report: REPORT,
  artifacts: [{ name: 'model.onnx', format: 'onnx', sha256: 'a'.repeat(64), sizeBytes: 10, step: 0 }],
  recommended: 0,
};

let postgres: TestPostgres;
let databaseUrl: string;
let store: Store;
let tenantId: string;
let modelId: string;
let hashes = 0;
beforeAll(async () => {
  postgres = await startTestPostgres();
  databaseUrl = await postgres.emptyDatabase();
  await migrate(databaseUrl);
  store = openStore(databaseUrl, { maxAttempts: 3 });
  await store.keys.add({ id: newId('key'), tenant: 'us', name: 'k', role: 'member', prefix: 'p', mac: 'mac' });
  tenantId = (await store.keys.authenticate('mac'))!.tenantId;
  modelId = await newModel();
});
afterAll(async () => {
  await store?.close();
  await postgres?.stop();
});

async function newModel(): Promise<string> {
  const sha256 = (hashes++).toString(16).padStart(64, '0');
  return (
    await store.models.add({ id: newId('model'), tenantId, name: 'm', sha256, sizeBytes: 5, description: DESCRIPTION })
  ).id;
}

async function newJob(request: Partial<JobRequest> = {}): Promise<string> {
  const full: JobRequest = { model: modelId, steps: [{ technique: 'retrain' }, { technique: 'quantize' }], ...request };
  const id = newId('job');
  const { outcome } = await store.jobs.insert(
    { id, tenantId, request: full, modelIds: [full.model] },
    { idempotency: null, activeJobs: 1000, answerOf: ({ state }) => state },
  );
  expect(outcome).toBe('inserted');
  return id;
}

async function emptyOutbox(): Promise<void> {
  const rows = await store.relay.claimOutbox(1000, 60_000);
  await store.relay.completeOutbox(rows.map(({ id }) => id));
}

const claim = async (id: string, leaseMs = LEASE_MS): Promise<Claim> => {
  const claimed = await store.workerJobs.claim(id, 'wrk_a', leaseMs);
  expect(claimed).not.toBeNull();
  return claimed as Claim;
};
const stateOf = async (id: string) => (await store.jobs.find(tenantId, id))?.state;
const eventTypes = async (id: string) => (await store.jobs.events(id, 0, 1000)).map(({ type }) => type);
const failure = { code: 'diverged', message: 'loss is NaN', retryable: false } as const;

describe('a claim', () => {
  test('is had by one worker of many', async () => {
    const id = await newJob();
    const claims = await Promise.all(
      Array.from({ length: 8 }, (_, i) => store.workerJobs.claim(id, `wrk_${i}`, LEASE_MS)),
    );
    expect(claims.filter((entry) => entry !== null)).toHaveLength(1);
    expect(await stateOf(id)).toBe('running');
  });

  test('brings all that the job needs', async () => {
    const teacher = await newModel();
    const id = newId('job');
    await store.jobs.insert(
      {
        id,
        tenantId,
        request: {
          model: modelId,
          steps: [{ technique: 'distill', teacher } as JobRequest['steps'][number]],
          limits: { runSeconds: 100 },
        },
        modelIds: [modelId, teacher],
      },
      { idempotency: null, activeJobs: 1000, answerOf: () => null },
    );
    const { fence, attempt, model, otherModels, dataset, deadline } = await claim(id);
    expect({ fence, attempt, dataset }).toEqual({ fence: 1, attempt: 1, dataset: null });
    expect(model).toMatchObject({ id: modelId, description: { parameters: 3 } });
    expect([...otherModels.keys()]).toEqual([teacher]);
    expect((deadline.getTime() - Date.now()) / 1000).toBeCloseTo(100, -1);
  });

  test('ends when another worker takes the job over: nothing of the first is written any more', async () => {
    const id = await newJob();
    const stale = await claim(id, 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const current = await claim(id);
    expect(current.fence).toBe(stale.fence + 1);
    const { workerJobs } = store;
    expect(await workerJobs.heartbeat(id, stale.fence, LEASE_MS)).toBe('lost');
    expect(await workerJobs.record(id, stale.fence, [{ type: 'progress', data: { progress: 0.9 } }])).toBe(false);
    expect(await workerJobs.succeed(id, stale.fence, OUTCOME)).toBe(false);
    expect(await workerJobs.fail(id, stale.fence, failure)).toBe(false);
    expect(await workerJobs.cancel(id, stale.fence)).toBe(false);
    expect(await workerJobs.release(id, stale.fence, 'stopping')).toBe(false);
    expect(await store.jobs.find(tenantId, id)).toMatchObject({ state: 'running', progress: 0, artifacts: [] });
    expect(await workerJobs.succeed(id, current.fence, OUTCOME)).toBe(true);
    expect(await workerJobs.succeed(id, current.fence, OUTCOME)).toBe(false);
    const job = await store.jobs.find(tenantId, id);
    expect(job).toMatchObject({
      state: 'succeeded',
      progress: 1,
      report: REPORT,
      recommendedId: job?.artifacts[0]?.id,
    });
    expect(job?.artifacts).toHaveLength(1);
    expect((await eventTypes(id)).filter((type) => type === 'succeeded')).toHaveLength(1);
  });

  test('that is given back does not count as a try', async () => {
    const id = await newJob();
    for (let i = 0; i < 5; i++) {
      const { fence, attempt } = await claim(id);
      expect(attempt).toBe(1);
      expect(await store.workerJobs.release(id, fence, 'the worker is stopping')).toBe(true);
      expect(await stateOf(id)).toBe('queued');
    }
  });
});

describe('cancelling', () => {
  test('ends a queued job at once, and no worker gets it', async () => {
    const id = await newJob();
    expect(await store.jobs.cancel(tenantId, id)).toMatchObject({ accepted: true, job: { state: 'canceled' } });
    expect(await store.workerJobs.claim(id, 'wrk_a', LEASE_MS)).toBeNull();
    expect(await store.jobs.cancel(tenantId, id)).toMatchObject({ accepted: false });
    expect(await eventTypes(id)).toEqual(['queued', 'canceled']);
  });

  test('tells the worker of a running one, and takes no result any more', async () => {
    const id = await newJob();
    const { fence } = await claim(id);
    expect(await store.jobs.cancel(tenantId, id)).toMatchObject({ accepted: true, job: { state: 'canceling' } });
    expect(await store.jobs.cancel(tenantId, id)).toMatchObject({ accepted: true });
    expect(await store.workerJobs.heartbeat(id, fence, LEASE_MS)).toBe('cancel-requested');
    expect(await store.workerJobs.succeed(id, fence, OUTCOME)).toBe(false);
    expect(await store.jobs.find(tenantId, id)).toMatchObject({ state: 'canceled', artifacts: [], report: null });
    expect(await eventTypes(id)).toEqual(['queued', 'started', 'canceling', 'canceled']);
  });

  test("finds only the tenant's own jobs", async () => {
    expect(await store.jobs.cancel('tnt_other', await newJob())).toBeNull();
  });
});

describe('what a worker records', () => {
  test('is on the job, its steps and its metrics, in order', async () => {
    const id = await newJob();
    const { fence } = await claim(id);
    await store.workerJobs.record(id, fence, [
      { type: 'step', data: { step: 0, technique: 'retrain', state: 'running' } },
      { type: 'metric', data: { step: 0, technique: 'retrain', epoch: 0, metrics: { loss: 0.5 } } },
      { type: 'progress', data: { step: 0, technique: 'retrain', progress: 0.5, stepProgress: 1 } },
    ]);
    await store.workerJobs.record(id, fence, [
      { type: 'metric', data: { step: 0, epoch: 0, metrics: { loss: 0.4 } } },
      { type: 'step', data: { step: 0, state: 'succeeded' } },
    ]);
    expect(await store.jobs.find(tenantId, id)).toMatchObject({
      progress: 0.5,
      steps: [{ state: 'succeeded', progress: 1, metrics: { loss: 0.4 } }, { state: 'pending' }],
    });
    expect(await store.jobs.metrics(id)).toEqual([{ step: 0, epoch: 0, name: 'loss', value: 0.4 }]);
    const events = await store.jobs.events(id, 2, 100);
    expect(events.map(({ seq }) => seq)).toEqual([3, 4, 5, 6, 7]);
  });

  test('may hold text that Postgres does not take as it is', async () => {
    const id = await newJob();
    const { fence } = await claim(id);
    expect(
      await store.workerJobs.record(id, fence, [
        { type: 'warning', data: { step: 0, code: 'x', message: 'nul \0 half \ud800 whole \u{1f600}', 'ke\0y': 1 } },
      ]),
    ).toBe(true);
    const [event] = await store.jobs.events(id, 2, 1);
    expect(event?.data).toMatchObject({ message: 'nul \ufffd half \ufffd whole \u{1f600}', 'ke\ufffdy': 1 });
    expect(await store.workerJobs.fail(id, fence, { ...failure, message: 'a\0b' })).toBe(true);
    expect(await store.jobs.find(tenantId, id)).toMatchObject({
      state: 'failed',
      error: { code: 'diverged', message: 'a\ufffdb' },
      steps: [{ state: 'skipped' }, { state: 'skipped' }],
    });
  });
});

describe('the sweeps', () => {
  test('put a job whose worker was lost back into the queue, until its tries are used up', async () => {
    const id = await newJob();
    for (let attempt = 1; attempt < 3; attempt++) {
      await claim(id, 1);
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect((await store.relay.reclaimLost(3)).requeued).toContain(id);
      expect(await stateOf(id)).toBe('queued');
    }
    await claim(id, 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await store.relay.reclaimLost(3)).ended).toContain(id);
    expect(await store.jobs.find(tenantId, id)).toMatchObject({
      state: 'failed',
      error: { code: 'worker-lost', retryable: true },
      attempt: 3,
    });
    expect(await eventTypes(id)).toEqual(['queued', 'started', 'retrying', 'started', 'retrying', 'started', 'failed']);
  });

  test('leave jobs alone whose worker is alive', async () => {
    const id = await newJob();
    await claim(id);
    const { requeued, ended } = await store.relay.reclaimLost(3);
    expect([...requeued, ...ended]).not.toContain(id);
  });

  test('end a job that waited too long as expired', async () => {
    const id = await newJob({ limits: { queueSeconds: 1 } });
    expect(await store.relay.expireOverdue()).not.toContain(id);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    expect(await store.workerJobs.claim(id, 'wrk_late', LEASE_MS)).toBeNull();
    expect(await store.relay.expireOverdue()).toContain(id);
    expect(await store.jobs.find(tenantId, id)).toMatchObject({
      state: 'expired',
      error: { code: 'deadline-exceeded' },
    });
  });

  test('hand each outbox row to one relay', async () => {
    await emptyOutbox();
    const ids = [await newJob(), await newJob({ device: 'gpu' })];
    const claims = await Promise.all([1, 2, 3].map(() => store.relay.claimOutbox(10, 60_000)));
    const rows = claims.flat();
    expect(rows.map(({ kind, version }) => [kind, version])).toEqual([
      ['job-queued', 1],
      ['job-queued', 1],
    ]);
    expect(rows.map(({ payload }) => (payload as { jobId: string }).jobId).toSorted()).toEqual(ids.toSorted());
    await store.relay.completeOutbox(rows.map(({ id }) => id));
    expect(await store.relay.claimOutbox(10, 0)).toEqual([]);
  });

  test('give the outbox rows of a dead relay to another, after a time', async () => {
    await emptyOutbox();
    const id = await newJob();
    const dead = await store.relay.claimOutbox(10, 400);
    expect(dead.map(({ payload }) => payload)).toEqual([{ jobId: id }]);
    expect(await store.relay.claimOutbox(10, 60_000)).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await store.relay.claimOutbox(10, 60_000)).toEqual(dead);
    await store.relay.releaseOutbox(dead.map((row) => row.id));
    expect(await store.relay.claimOutbox(10, 60_000)).toEqual(dead);
  });

  test('hold no lock on outbox rows that they claimed', async () => {
    await emptyOutbox();
    await newJob();
    const rows = await store.relay.claimOutbox(10, 60_000);
    expect(rows).toHaveLength(1);
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      const { rowCount } = await client.query('SELECT 1 FROM outbox WHERE id = $1 FOR UPDATE NOWAIT', [rows[0]!.id]);
      expect(rowCount).toBe(1);
    } finally {
      await client.end();
    }
  });

  test('tell which jobs are queued, and remember their pool', async () => {
    const [queued, canceled] = [await newJob({ device: 'gpu' }), await newJob()];
    await store.jobs.cancel(tenantId, canceled);
    expect(await store.relay.queuedAmong([queued, canceled, 'job_none'])).toEqual([
      { id: queued, device: 'gpu', fence: 0 },
    ]);
    await store.relay.markEnqueued([queued, canceled], 'gpu');
    const known = await store.relay.queuedBefore(new Date(Date.now() + 1000), 1000);
    expect(known.filter(({ id }) => id === queued || id === canceled)).toMatchObject([{ id: queued, pool: 'gpu' }]);
  });

  test('tell once that a job waits', async () => {
    const id = await newJob();
    const event = { type: 'waiting', data: { message: 'no worker' } } as const;
    await store.relay.setWaiting(id, event);
    await store.relay.setWaiting(id, event);
    expect(await eventTypes(id)).toEqual(['queued', 'waiting']);
  });
});

describe('models', () => {
  test('that a job uses stay, and go when it has ended', async () => {
    const id = await newModel();
    const job = await newJob({ model: id });
    expect(await store.models.remove(tenantId, id)).toEqual({ outcome: 'in-use' });
    await store.jobs.cancel(tenantId, job);
    expect(await store.models.remove(tenantId, id)).toMatchObject({ outcome: 'removed' });
    expect(await store.jobs.find(tenantId, job)).toMatchObject({ modelId: id, state: 'canceled' });
    expect(
      (
        await store.jobs.insert(
          { id: newId('job'), tenantId, request: { model: id, steps: [] }, modelIds: [id] },
          { idempotency: null, activeJobs: 1000, answerOf: () => null },
        )
      ).outcome,
    ).toBe('missing');
  });

  test('of the same bytes are one', async () => {
    const add = () =>
      store.models.add({
        id: newId('model'),
        tenantId,
        name: 'm',
        sha256: 'f'.repeat(64),
        sizeBytes: 1,
        description: DESCRIPTION,
      });
    const added = await Promise.all([add(), add(), add()]);
    expect(new Set(added.map(({ id }) => id)).size).toBe(1);
  });

  test('come in pages that are stable while others are added', async () => {
    const own = await store.keys.add({
      id: newId('key'),
      tenant: 'pages',
      name: 'k',
      role: 'member',
      prefix: 'p',
      mac: 'pages',
    });
    expect(own.tenant).toBe('pages');
    const tenant = (await store.keys.authenticate('pages'))!.tenantId;
    const add = (n: number) =>
      store.models.add({
        id: newId('model'),
        tenantId: tenant,
        name: `${n}`,
        sha256: `${n}`.padStart(64, '0'),
        sizeBytes: 1,
        description: DESCRIPTION,
      });
    for (let n = 0; n < 7; n++) await add(n);
    const names: string[] = [];
    let after: string | null = null;
    do {
      const { items, next }: Awaited<ReturnType<Store['models']['list']>> = await store.models.list(tenant, {
        after,
        limit: 3,
      });
      names.push(...items.map(({ name }) => name));
      after = next;
      await add(100 + names.length);
    } while (after);
    expect(names).toEqual(['6', '5', '4', '3', '2', '1', '0']);
  });
});
