/** Each status that openapi.yaml names is produced at least once, by the operation that names it. */
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import pg from 'pg';
import { startApi, type TestApi } from '../support/api.ts';
import { REPORT, smallModel, table } from '../support/fixtures.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { DOCUMENT, documentedStatuses, Witness } from '../support/witness.ts';

const ABSENT = {
  mdl: 'mdl_00000000000000000000000000',
  dst: 'dst_00000000000000000000000000',
  job: 'job_00000000000000000000000000',
  art: 'art_00000000000000000000000000',
  key: 'key_00000000000000000000000000',
};
const STEPS = [{ technique: 'quantize', precision: 'float16' }];

let postgres: TestPostgres;
let api: TestApi;
let databaseUrl: string;
let member: string;
let witness: Witness;
const seen = new Set<string>();
const ids = { model: '', spareModel: '', dataset: '', spareDataset: '', job: '', ended: '', artifact: '', key: '' };

beforeAll(async () => {
  postgres = await startTestPostgres();
  databaseUrl = await postgres.emptyDatabase();
  api = await startApi({ databaseUrl, tenantLimits: { modelBytes: 100_000, datasetBytes: 100_000 } });
  member = await api.memberOf('other');
  witness = new Witness(api.url, api.key, seen);
});
afterAll(async () => {
  await api?.close();
  await postgres?.stop();
});

const status = async (call: Parameters<Witness['call']>[0]): Promise<number> => (await witness.call(call)).status;
const submit = (body: object, headers: Record<string, string> = {}) =>
  witness.call({ method: 'post', path: '/v1/jobs', json: body, headers });

/** Takes the job as a worker does, and ends it with an artifact of ten bytes. */
async function run(jobId: string): Promise<void> {
  const claim = await api.store.workerJobs.claim(jobId, 'wrk_test', 30_000);
  const { sha256, sizeBytes } = await api.blobs.put(Readable.from([Buffer.from('0123456789')]), 100);
  await api.store.workerJobs.succeed(jobId, claim!.fence, {
    report: REPORT,
    artifacts: [{ name: 'model.onnx', format: 'onnx', sha256, sizeBytes, step: 0 }],
    recommended: 0,
  });
}

describe('every operation', () => {
  test('uploads', async () => {
    const model = await witness.call({
      method: 'post',
      path: '/v1/models?name=one',
      body: smallModel(1),
      headers: { 'content-type': 'application/octet-stream' },
    });
    expect(model.status, model.text).toBe(201);
    ids.model = (model.body as { id: string }).id;
    ids.spareModel = (
      (await witness.call({ method: 'post', path: '/v1/models', file: { name: 'two.onnx', content: smallModel(2) } }))
        .body as { id: string }
    ).id;
    expect(
      await status({
        method: 'post',
        path: '/v1/models',
        file: { name: 'x', content: Buffer.from('x'), field: 'model' },
      }),
    ).toBe(400);
    expect(
      await status({
        method: 'post',
        path: '/v1/models',
        body: Buffer.alloc(100_001),
        headers: { 'content-type': 'application/octet-stream' },
      }),
    ).toBe(413);
    expect(
      await status({
        method: 'post',
        path: '/v1/models',
        body: 'GGUF is of another kind',
        headers: { 'content-type': 'text/plain' },
      }),
    ).toBe(415);
    expect(
      await status({
        method: 'post',
        path: '/v1/models',
        body: smallModel(3).subarray(0, 300),
        headers: { 'content-type': 'application/octet-stream' },
      }),
    ).toBe(422);
    const dataset = await witness.call({
      method: 'post',
      path: '/v1/datasets?target=kind',
      file: { name: 'table.csv', content: table() },
    });
    expect(dataset.status, dataset.text).toBe(201);
    ids.dataset = (dataset.body as { id: string }).id;
    ids.spareDataset = (
      (
        await witness.call({
          method: 'post',
          path: '/v1/datasets?target=f1',
          file: { name: 'table.csv', content: table() },
        })
      ).body as { id: string }
    ).id;
    expect(
      await status({ method: 'post', path: '/v1/datasets?target=', file: { name: 'table.csv', content: table() } }),
    ).toBe(400);
    expect(
      await status({
        method: 'post',
        path: '/v1/datasets',
        body: Buffer.alloc(100_001),
        headers: { 'content-type': 'application/octet-stream' },
      }),
    ).toBe(413);
    expect(
      await status({
        method: 'post',
        path: '/v1/datasets',
        body: Buffer.from([1, 2, 3, 0, 0, 9]),
        headers: { 'content-type': 'application/octet-stream' },
      }),
    ).toBe(415);
    expect(
      await status({
        method: 'post',
        path: '/v1/datasets',
        body: Buffer.from('PK\x03\x04 but no zip'),
        headers: { 'content-type': 'application/octet-stream' },
      }),
    ).toBe(422);
  });

  test('jobs', async () => {
    const created = await submit({ model: ids.model, steps: STEPS, labels: { team: 'a' } }, { 'idempotency-key': 'k' });
    expect(created.status, created.text).toBe(202);
    ids.job = (created.body as { id: string }).id;
    expect(
      (
        await witness.call({
          method: 'post',
          path: '/v1/jobs?dryRun=true',
          json: { model: ids.model, dataset: ids.dataset, steps: STEPS },
        })
      ).status,
    ).toBe(200);
    expect((await submit({ model: ids.model, steps: [{ technique: 'alchemy' }] })).status).toBe(400);
    expect((await submit({ model: ABSENT.mdl, steps: STEPS })).status).toBe(404);
    expect(
      await status({
        method: 'post',
        path: '/v1/jobs',
        json: '<job/>',
        headers: { 'content-type': 'application/xml' },
      }),
    ).toBe(415);
    expect((await submit({ model: ids.model, name: 'x'.repeat(1_100_000), steps: STEPS })).status).toBe(413);
    expect((await submit({ model: ids.model, steps: [{ technique: 'retrain' }] })).status).toBe(422);
    const other = new pg.Client({ connectionString: databaseUrl });
    await other.connect();
    const { rows } = await other.query<{ tenant_id: string }>('SELECT tenant_id FROM jobs LIMIT 1');
    const tenantId = rows[0]!.tenant_id;
    await other.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [`${tenantId} taken`]);
    expect((await submit({ model: ids.model, steps: STEPS }, { 'idempotency-key': 'taken' })).status).toBe(409);
    await other.end();

    expect(await status({ path: '/v1/jobs?state=queued&label=team:a' })).toBe(200);
    expect(await status({ path: '/v1/jobs?state=asleep' })).toBe(400);
    expect(await status({ path: `/v1/jobs/${ids.job}` })).toBe(200);
    expect(await status({ path: `/v1/jobs/${ABSENT.job}` })).toBe(404);
    expect(await status({ path: `/v1/jobs/${ids.job}/metrics` })).toBe(200);
    expect(await status({ path: `/v1/jobs/${ABSENT.job}/metrics` })).toBe(404);
    expect(await status({ path: `/v1/jobs/${ids.job}/report` })).toBe(409);
    expect(await status({ path: `/v1/jobs/${ABSENT.job}/report` })).toBe(404);
    expect(await status({ method: 'delete', path: `/v1/models/${ids.model}` })).toBe(409);
    const withData = (await submit({ model: ids.model, dataset: ids.dataset, steps: STEPS })).body as { id: string };
    expect(await status({ method: 'delete', path: `/v1/datasets/${ids.dataset}` })).toBe(409);
    expect(await status({ method: 'post', path: `/v1/jobs/${withData.id}/cancel` })).toBe(202);
    expect(await status({ method: 'post', path: `/v1/jobs/${withData.id}/cancel` })).toBe(409);
    expect(await status({ method: 'post', path: `/v1/jobs/${ABSENT.job}/cancel` })).toBe(404);
    await run(ids.job);
    ids.artifact = ((await witness.call({ path: `/v1/jobs/${ids.job}` })).body as { recommended: string }).recommended;
    expect(await status({ path: `/v1/jobs/${ids.job}/report` })).toBe(200);
    expect(await status({ path: `/v1/jobs/${ids.job}/events`, headers: { accept: 'text/event-stream' } })).toBe(200);
    expect(await status({ path: `/v1/jobs/${ids.job}/events`, headers: { 'last-event-id': '999' } })).toBe(204);
    expect(await status({ path: `/v1/jobs/${ids.job}/events`, headers: { 'last-event-id': 'first' } })).toBe(400);
    expect(await status({ path: `/v1/jobs/${ABSENT.job}/events` })).toBe(404);
  });

  test('artifacts', async () => {
    expect(await status({ path: '/v1/artifacts' })).toBe(200);
    expect(await status({ path: '/v1/artifacts?limit=0' })).toBe(400);
    expect(await status({ path: `/v1/artifacts/${ids.artifact}` })).toBe(200);
    expect(await status({ path: `/v1/artifacts/${ABSENT.art}` })).toBe(404);
    const whole = await witness.call({ path: `/v1/artifacts/${ids.artifact}/content` });
    expect(whole.status).toBe(200);
    expect(await status({ path: `/v1/artifacts/${ids.artifact}/content`, headers: { range: 'bytes=2-4' } })).toBe(206);
    expect(
      await status({
        path: `/v1/artifacts/${ids.artifact}/content`,
        headers: { 'if-none-match': whole.headers['etag'] as string },
      }),
    ).toBe(304);
    expect(await status({ path: `/v1/artifacts/${ABSENT.art}/content` })).toBe(404);
    expect(await status({ path: `/v1/artifacts/${ids.artifact}/content`, headers: { range: 'bytes=10-' } })).toBe(416);
  });

  test('models, datasets, techniques, workers', async () => {
    for (const [kind, spare, absent] of [
      ['models', ids.spareModel, ABSENT.mdl],
      ['datasets', ids.spareDataset, ABSENT.dst],
    ]) {
      expect(await status({ path: `/v1/${kind}` })).toBe(200);
      expect(await status({ path: `/v1/${kind}?cursor=nonsense` })).toBe(400);
      expect(await status({ path: `/v1/${kind}/${spare}` })).toBe(200);
      expect(await status({ path: `/v1/${kind}/${absent}` })).toBe(404);
      expect(await status({ method: 'delete', path: `/v1/${kind}/${spare}` })).toBe(204);
      expect(await status({ method: 'delete', path: `/v1/${kind}/${spare}` })).toBe(404);
    }
    expect(await status({ path: '/v1/techniques' })).toBe(200);
    expect(await status({ path: '/v1/techniques?order=up' })).toBe(400);
    expect(await status({ path: '/v1/techniques/quantize' })).toBe(200);
    expect(await status({ path: '/v1/techniques/alchemy' })).toBe(404);
    expect(await status({ path: '/v1/workers' })).toBe(200);
    expect(await status({ path: '/v1/workers?order=up' })).toBe(400);
  });

  test('keys', async () => {
    const created = await witness.call({ method: 'post', path: '/v1/keys', json: { tenant: 'third', name: 'ci' } });
    expect(created.status, created.text).toBe(201);
    ids.key = (created.body as { id: string }).id;
    expect(await status({ method: 'post', path: '/v1/keys', json: {} })).toBe(400);
    expect(await status({ method: 'post', path: '/v1/keys', json: { tenant: 'x', name: 'y' }, key: member })).toBe(403);
    expect(await status({ method: 'post', path: '/v1/keys', json: { tenant: 'x', name: 'y'.repeat(1_100_000) } })).toBe(
      413,
    );
    expect(
      await status({ method: 'post', path: '/v1/keys', json: 'a', headers: { 'content-type': 'text/plain' } }),
    ).toBe(415);
    expect(await status({ path: '/v1/keys' })).toBe(200);
    expect(await status({ path: '/v1/keys?limit=1000' })).toBe(400);
    expect(await status({ path: '/v1/keys', key: member })).toBe(403);
    const { items } = (await witness.call({ path: '/v1/keys' })).body as { items: { id: string; tenant: string }[] };
    expect(
      await status({ method: 'delete', path: `/v1/keys/${items.find(({ tenant }) => tenant === 'default')!.id}` }),
    ).toBe(409);
    expect(await status({ method: 'delete', path: `/v1/keys/${ids.key}`, key: member })).toBe(403);
    expect(await status({ method: 'delete', path: `/v1/keys/${ids.key}` })).toBe(204);
    expect(await status({ method: 'delete', path: `/v1/keys/${ids.key}` })).toBe(404);
  });

  test('the service itself', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics', '/openapi.json'])
      expect(await status({ path, key: null })).toBe(200);
  });
});

/** Every operation under /v1, with ids that name nothing. */
const OPERATIONS = Object.entries(DOCUMENT.paths)
  .filter(([path]) => path.startsWith('/v1/'))
  .flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({
      method: method as 'get' | 'post' | 'delete',
      path: path.replace('{id}', idFor(path)).replace('{name}', 'quantize'),
    })),
  );

function idFor(path: string): string {
  const kinds: Record<string, string> = {
    models: ABSENT.mdl,
    datasets: ABSENT.dst,
    jobs: ABSENT.job,
    artifacts: ABSENT.art,
    keys: ABSENT.key,
  };
  return kinds[path.split('/')[2] as string] ?? '';
}

describe.each(OPERATIONS)('$method $path', ({ method, path }) => {
  test('asks for a key', async () => {
    const response = await witness.call({ method, path, key: null });
    expect(response.status).toBe(401);
    expect(response.headers['www-authenticate']).toMatch(/^Bearer/);
    expect(await status({ method, path, key: 'lathe_wrong' })).toBe(401);
  });

  test('gives no type that is not accepted', async () => {
    const anyType = path.endsWith('/content');
    expect(await status({ method, path, headers: { accept: 'image/png' } })).toBe(anyType ? 404 : 406);
  });
});

describe('a service', () => {
  test('that is asked too often says so', async () => {
    const limited = await startApi({ databaseUrl, limits: { requestsPerMinute: 1 } });
    try {
      for (const { method, path } of OPERATIONS) {
        const key = await limited.memberOf(`busy ${method} ${path}`);
        const impatient = new Witness(limited.url, key, seen);
        await impatient.call({ path: '/v1/techniques' });
        const response = await impatient.call({ method, path });
        expect(response.status, `${method} ${path}`).toBe(429);
        expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
      }
    } finally {
      await limited.close();
    }
  });

  test('whose database is away says so', async () => {
    const own = await postgres.emptyDatabase();
    const lost = await startApi({ databaseUrl: own });
    const name = new URL(own).pathname.slice(1);
    const admin = new pg.Client({ connectionString: own.replace(/\/[^/]*$/, '/postgres') });
    await admin.connect();
    try {
      await admin.query(`ALTER DATABASE "${name}" WITH ALLOW_CONNECTIONS false`);
      await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
      const patient = new Witness(lost.url, lost.key, seen);
      for (const { method, path } of OPERATIONS)
        expect((await patient.call({ method, path })).status, `${method} ${path}`).toBe(503);
      expect((await patient.call({ path: '/readyz', key: null })).body).toMatchObject({
        status: 'unavailable',
        checks: { database: 'cannot be reached', artifacts: 'ok' },
      });
      expect((await patient.call({ path: '/healthz', key: null })).status).toBe(200);
      await admin.query(`ALTER DATABASE "${name}" WITH ALLOW_CONNECTIONS true`);
      await expect.poll(async () => (await patient.call({ path: '/v1/models' })).status, { timeout: 10_000 }).toBe(200);
    } finally {
      await admin.end();
      await lost.close();
    }
  });
});

test('openapi.yaml names no status that was not seen', () => {
  expect(documentedStatuses().filter((entry) => !seen.has(entry))).toEqual([]);
});
