/** Jobs over HTTP: submission, idempotency, tenants, lists, events, cancellation, results. The test is the worker. */
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LatheClient } from '../../clients/typescript/src/index.ts';
import type { Claim } from '../../src/jobs/ports/worker-side.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { REPORT, smallModel, table } from '../support/fixtures.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { Witness } from '../support/witness.ts';

interface Job {
  id: string;
  state: string;
  name: string;
  steps: { technique: string }[];
  artifacts: { id: string }[];
  recommended: string | null;
  createdAt: string;
}
interface Page {
  items: Job[];
  nextCursor: string | null;
}
interface Problem {
  code: string;
  status: number;
  detail: string;
  errors: { path: string; message: string }[];
}

let postgres: TestPostgres;
let api: TestApi;
let witness: Witness;
let stranger: string;
let model: string;
let dataset: string;

beforeAll(async () => {
  postgres = await startTestPostgres();
  api = await startApi({ databaseUrl: await postgres.emptyDatabase(), tenantLimits: { activeJobs: 60 } });
  witness = new Witness(api.url, api.key);
  stranger = await api.memberOf('stranger');
  model = (
    (await witness.call({ method: 'post', path: '/v1/models', file: { name: 'net.onnx', content: smallModel() } }))
      .body as { id: string }
  ).id;
  dataset = (
    (
      await witness.call({
        method: 'post',
        path: '/v1/datasets?target=kind',
        file: { name: 'table.csv', content: table() },
      })
    ).body as { id: string }
  ).id;
});
afterAll(async () => {
  await api?.close();
  await postgres?.stop();
});

const request = (more: object = {}) => ({ model, steps: [{ technique: 'quantize', precision: 'float16' }], ...more });
const submit = (body: object | string, headers: Record<string, string> = {}, key?: string): Promise<Response> =>
  witness.call({ method: 'post', path: '/v1/jobs', json: body, headers, key });
const jobOf = (response: Response): Job => {
  expect(response.status, response.text).toBe(202);
  return response.body as Job;
};
const problemOf = (response: Response): Problem => JSON.parse(response.text) as Problem;
const claim = async (id: string): Promise<Claim> => (await api.store.workerJobs.claim(id, 'wrk_test', 60_000)) as Claim;

async function finish(id: string): Promise<Job> {
  const { fence } = await claim(id);
  const { sha256, sizeBytes } = await api.blobs.put(Readable.from([Buffer.from(`result of ${id}`)]), 1000);
  await api.store.workerJobs.succeed(id, fence, {
    report: REPORT,
    artifacts: [{ name: 'net "1".onnx', format: 'onnx', sha256, sizeBytes, step: 0 }],
    recommended: 0,
  });
  return (await witness.call({ path: `/v1/jobs/${id}` })).body as Job;
}

describe('a submission', () => {
  test('gives a queued job with its place, every default filled in', async () => {
    const response = await submit(request({ name: 'first', labels: { team: 'vision' } }));
    const job = jobOf(response);
    expect(response.headers.location).toBe(`/v1/jobs/${job.id}`);
    expect(job).toMatchObject({
      state: 'queued',
      progress: 0,
      name: 'first',
      model,
      dataset: null,
      device: 'auto',
      seed: 0,
      report: null,
      error: null,
      recommended: null,
      startedAt: null,
    });
    expect(job).toMatchObject({
      request: {
        limits: { queueSeconds: 3600, runSeconds: 3600 },
        steps: [{ technique: 'quantize', precision: 'float16' }],
      },
    });
  });

  test('that is wrong in several places is told all of them, and stores nothing', async () => {
    const before = ((await witness.call({ path: '/v1/jobs' })).body as Page).items.length;
    const response = await submit(request({ seed: -1, device: 'tpu', colour: 'red', steps: [] }));
    expect(response.status).toBe(400);
    expect(
      problemOf(response)
        .errors.map(({ path }) => path)
        .toSorted(),
    ).toEqual(['/colour', '/device', '/seed', '/steps']);
    const steps = await submit(
      request({
        steps: [
          { technique: 'alchemy' },
          { technique: 'quantize', precision: 'int3' },
          { technique: 'prune-weights', sparsity: 2 },
        ],
      }),
    );
    expect(problemOf(steps)).toMatchObject({ code: 'invalid-request' });
    expect(problemOf(steps).errors.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['/steps/0/technique', '/steps/1/precision', '/steps/2/sparsity']),
    );
    expect(((await witness.call({ path: '/v1/jobs' })).body as Page).items.length).toBe(before);
  });

  test('asking for a mode that does not run is refused with what is missing', async () => {
    const response = await submit(request({ parallel: { mode: 'pipeline', stages: 2 } }));
    expect(problemOf(response)).toMatchObject({
      code: 'invalid-request',
      status: 400,
      errors: [{ path: '/parallel/mode', message: expect.stringContaining('use "none"') as string }],
    });
  });

  test('is held against its model and its data', async () => {
    expect(problemOf(await submit(request({ steps: [{ technique: 'retrain' }] })))).toMatchObject({
      code: 'dataset-required',
      status: 422,
    });
    expect(problemOf(await submit({ ...request(), model: 'mdl_nonsense' }))).toMatchObject({
      code: 'not-found',
      errors: [{ path: '/model' }],
    });
    const narrow = (
      await witness.call({
        method: 'post',
        path: '/v1/datasets?target=b',
        body: 'a,b\n1,x\n2,y\n3,x\n4,y\n',
        headers: { 'content-type': 'text/csv' },
      })
    ).body as { id: string };
    expect(problemOf(await submit(request({ dataset: narrow.id })))).toMatchObject({
      code: 'shape-mismatch',
      status: 422,
    });
  });

  test('that is only tried is checked and estimated, and stores nothing', async () => {
    const dry = await witness.call({
      method: 'post',
      path: '/v1/jobs?dryRun=true',
      json: request({ name: 'never', dataset, steps: [{ technique: 'retrain', epochs: 3 }] }),
    });
    expect(dry.status, dry.text).toBe(200);
    expect(dry.body).toMatchObject({
      valid: true,
      request: { steps: [{ technique: 'retrain', epochs: 3 }] },
      estimate: { memoryBytes: expect.any(Number) as number },
    });
    expect(
      (
        await witness.call({
          method: 'post',
          path: '/v1/jobs?dryRun=true',
          json: request({ steps: [{ technique: 'retrain' }] }),
        })
      ).status,
    ).toBe(422);
    expect(((await witness.call({ path: '/v1/jobs' })).body as Page).items.some(({ name }) => name === 'never')).toBe(
      false,
    );
  });

  test('over the quota of unfinished jobs is refused', async () => {
    const key = await api.memberOf('greedy');
    const other = new Witness(api.url, key);
    const own = (
      (await other.call({ method: 'post', path: '/v1/models', file: { name: 'n', content: smallModel() } })).body as {
        id: string;
      }
    ).id;
    const answers: Response[] = [];
    for (let i = 0; i < 61; i++)
      answers.push(await other.call({ method: 'post', path: '/v1/jobs', json: { ...request(), model: own } }));
    expect(answers.map(({ status }) => status)).toEqual([...Array.from({ length: 60 }, () => 202), 429]);
    expect(problemOf(answers.at(-1)!).code).toBe('quota-exceeded');
  });
});

describe('an Idempotency-Key', () => {
  test('makes one job of requests that are sent again', async () => {
    const headers = { 'idempotency-key': 'again' };
    const first = await submit(request({ name: 'once' }), headers);
    // Members in another order are the same request.
    const second = await submit(
      JSON.stringify(Object.fromEntries(Object.entries(request({ name: 'once' })).reverse())),
      headers,
    );
    expect(jobOf(second).id).toBe(jobOf(first).id);
    expect(second.body).toEqual(first.body);
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(problemOf(await submit(request({ name: 'twice' }), headers))).toMatchObject({
      code: 'idempotency-mismatch',
      status: 422,
    });
  });

  test('makes one job of requests that come together', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => submit(request({ name: 'together' }), { 'idempotency-key': 'together' })),
    );
    const accepted = answers.filter(({ status }) => status === 202).map((response) => jobOf(response).id);
    expect(new Set(accepted).size).toBe(1);
    expect(answers.every(({ status }) => status === 202 || status === 409)).toBe(true);
    const all = ((await witness.call({ path: '/v1/jobs?limit=200' })).body as Page).items;
    expect(all.filter(({ name }) => name === 'together')).toHaveLength(1);
  });

  test("is each tenant's own", async () => {
    const own = (
      (
        await witness.call({
          method: 'post',
          path: '/v1/models',
          key: stranger,
          file: { name: 'n', content: smallModel() },
        })
      ).body as { id: string }
    ).id;
    const [mine, theirs] = [
      await submit(request(), { 'idempotency-key': 'shared' }),
      await submit({ ...request(), model: own }, { 'idempotency-key': 'shared' }, stranger),
    ];
    expect(jobOf(theirs).id).not.toBe(jobOf(mine).id);
  });

  test('of a request that failed may be used for a better one', async () => {
    expect((await submit(request({ steps: [] }), { 'idempotency-key': 'retry' })).status).toBe(400);
    expect((await submit(request(), { 'idempotency-key': 'retry' })).status).toBe(202);
  });
});

test("another tenant's things are as if they were not there", async () => {
  const done = await finish(jobOf(await submit(request())).id);
  const paths = [
    `/v1/models/${model}`,
    `/v1/datasets/${dataset}`,
    `/v1/jobs/${done.id}`,
    `/v1/jobs/${done.id}/events`,
    `/v1/jobs/${done.id}/report`,
    `/v1/jobs/${done.id}/metrics`,
    `/v1/artifacts/${done.recommended}`,
    `/v1/artifacts/${done.recommended}/content`,
  ];
  for (const path of paths) expect((await witness.call({ path, key: stranger })).status, path).toBe(404);
  expect((await witness.call({ method: 'post', path: `/v1/jobs/${done.id}/cancel`, key: stranger })).status).toBe(404);
  for (const path of [`/v1/models/${model}`, `/v1/datasets/${dataset}`])
    expect((await witness.call({ method: 'delete', path, key: stranger })).status).toBe(404);
  expect((await submit(request(), {}, stranger)).status).toBe(404);
  for (const path of ['/v1/datasets', '/v1/artifacts'])
    expect((await witness.call({ path, key: stranger })).body).toEqual({ items: [], nextCursor: null });
});

describe('lists', () => {
  test('are filtered by state and labels, and paged', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++)
      ids.push(jobOf(await submit(request({ labels: { suite: 'lists', number: `${i}` } }))).id);
    await witness.call({ method: 'post', path: `/v1/jobs/${ids[0]}/cancel` });
    const list = async (query: string) => (await witness.call({ path: `/v1/jobs?${query}` })).body as Page;
    const idsOf = ({ items }: Page) => items.map(({ id }) => id);
    expect(idsOf(await list('label=suite:lists'))).toEqual(ids.toReversed());
    expect(idsOf(await list('label=suite:lists&label=number:3'))).toEqual([ids[3]]);
    expect(idsOf(await list('label=suite'))).toEqual(ids.toReversed());
    expect(idsOf(await list('label=suite:lists&state=canceled'))).toEqual([ids[0]]);
    expect(idsOf(await list('label=suite:lists&state=queued,canceled'))).toEqual(ids.toReversed());
    expect(idsOf(await list('label=suite:lists&state=queued&state=canceled'))).toEqual(ids.toReversed());
    expect(idsOf(await list('label=suite:other'))).toEqual([]);
    const first = await list('label=suite:lists&limit=2');
    const second = await list(`label=suite:lists&limit=2&cursor=${first.nextCursor}`);
    const third = await list(`label=suite:lists&limit=2&cursor=${second.nextCursor}`);
    expect([first, second, third].flatMap(idsOf)).toEqual(ids.toReversed());
    expect(third.nextCursor).toBeNull();
  });
});

describe('events', () => {
  test('that are stored come first, then each as it happens, and the stream ends with the job', async () => {
    const { id } = jobOf(await submit(request()));
    const seen: { id: string | undefined; type: string; at: number }[] = [];
    const following = (async () => {
      for await (const event of new LatheClient({ url: api.url, apiKey: api.key }).events(id))
        seen.push({ id: event.id, type: event.type, at: Date.now() });
    })();
    await expect.poll(() => seen.length).toBe(1);
    const { fence } = await claim(id);
    const sentAt = Date.now();
    await api.store.workerJobs.record(id, fence, [
      { type: 'progress', data: { step: 0, progress: 0.5, stepProgress: 0.5 } },
    ]);
    await expect.poll(() => seen.length).toBe(3);
    expect(seen[2]!.at - sentAt, 'told, not polled').toBeLessThan(1500);
    await api.store.workerJobs.fail(id, fence, { code: 'diverged', message: 'NaN', retryable: false });
    await following;
    expect(seen.map(({ type }) => type)).toEqual(['queued', 'started', 'progress', 'failed']);
    expect(seen.map((event) => event.id)).toEqual(['1', '2', '3', '4']);
  });

  test('go on after the last one that the client has', async () => {
    const { id } = await finish(jobOf(await submit(request())).id);
    const all = await witness.call({ path: `/v1/jobs/${id}/events` });
    expect(all.headers['content-type']).toBe('text/event-stream');
    const idsIn = (text: string) => [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));
    const count = idsIn(all.text).length;
    expect(idsIn(all.text)).toEqual(Array.from({ length: count }, (_, i) => i + 1));
    const rest = await witness.call({ path: `/v1/jobs/${id}/events`, headers: { 'last-event-id': '2' } });
    expect(idsIn(rest.text)).toEqual(Array.from({ length: count - 2 }, (_, i) => i + 3));
    expect(
      (await witness.call({ path: `/v1/jobs/${id}/events`, headers: { 'last-event-id': `${count}` } })).status,
    ).toBe(204);
  });

  test('stop costing anything when the client goes', async () => {
    const { id } = jobOf(await submit(request()));
    const controller = new AbortController();
    const response = await fetch(`${api.url}/v1/jobs/${id}/events`, {
      headers: { authorization: `Bearer ${api.key}` },
      signal: controller.signal,
    });
    await response.body!.getReader().read();
    controller.abort();
    const connections = () =>
      new Promise<number>((resolve) => api.app.server.getConnections((_error, count) => resolve(count)));
    await expect.poll(connections, { timeout: 5000 }).toBeLessThanOrEqual(2);
    await sleep(0);
  });
});

describe('cancelling', () => {
  test('a running job leads through "canceling" to "canceled"', async () => {
    const { id } = jobOf(await submit(request()));
    const { fence } = await claim(id);
    expect((await witness.call({ method: 'post', path: `/v1/jobs/${id}/cancel` })).body).toMatchObject({
      state: 'canceling',
    });
    expect(await api.store.workerJobs.heartbeat(id, fence, 1000)).toBe('cancel-requested');
    expect(await api.store.workerJobs.cancel(id, fence)).toBe(true);
    expect((await witness.call({ path: `/v1/jobs/${id}` })).body).toMatchObject({
      state: 'canceled',
      steps: [{ state: 'skipped' }],
      endedAt: expect.any(String) as string,
    });
    expect((await witness.call({ method: 'post', path: `/v1/jobs/${id}/cancel` })).status).toBe(409);
  });
});

describe('results', () => {
  test('are downloaded whole, in part, and only when they are new', async () => {
    const job = await finish(jobOf(await submit(request())).id);
    const content = `result of ${job.id}`;
    const path = `/v1/artifacts/${job.recommended}/content`;
    const text = async (headers: Record<string, string> = {}) => {
      const response = await fetch(api.url + path, { headers: { authorization: `Bearer ${api.key}`, ...headers } });
      return { status: response.status, headers: response.headers, text: await response.text() };
    };
    const whole = await text();
    expect(whole).toMatchObject({ status: 200, text: content });
    const etag = whole.headers.get('etag')!;
    const { sha256 } = (await witness.call({ path: `/v1/artifacts/${job.recommended}` })).body as { sha256: string };
    expect(etag).toBe(`"${sha256}"`);
    expect(whole.headers.get('digest')).toBe(`sha-256=${Buffer.from(sha256, 'hex').toString('base64')}`);
    expect(whole.headers.get('content-disposition')).toBe(
      'attachment; filename="net _1_.onnx"; filename*=UTF-8\'\'net%20%221%22.onnx',
    );
    expect(whole.headers.get('content-length')).toBe(`${content.length}`);
    expect(await text({ range: 'bytes=0-5' })).toMatchObject({ status: 206, text: 'result' });
    expect((await text({ range: 'bytes=0-5' })).headers.get('content-range')).toBe(`bytes 0-5/${content.length}`);
    expect(await text({ range: 'bytes=-4' })).toMatchObject({ status: 206, text: content.slice(-4) });
    expect(await text({ range: 'bytes=7-' })).toMatchObject({ status: 206, text: content.slice(7) });
    expect(await text({ range: 'bytes=0-0,3-4' })).toMatchObject({ status: 200, text: content });
    const outside = await text({ range: `bytes=${content.length}-` });
    expect(outside.status).toBe(416);
    expect(outside.headers.get('content-range')).toBe(`bytes */${content.length}`);
    expect(await text({ 'if-none-match': etag })).toMatchObject({ status: 304, text: '' });
    expect(await text({ range: 'bytes=0-5', 'if-range': '"another"' })).toMatchObject({ status: 200, text: content });
    expect(await text({ range: 'bytes=0-5', 'if-range': etag })).toMatchObject({ status: 206 });
    const head = await witness.call({ method: 'head', path });
    expect([head.status, head.headers['content-length']]).toEqual([200, `${content.length}`]);
  });

  test('are listed by job, and reported', async () => {
    const job = await finish(jobOf(await submit(request())).id);
    expect((await witness.call({ path: `/v1/artifacts?job=${job.id}` })).body).toMatchObject({
      items: [{ id: job.recommended, job: job.id, model }],
    });
    expect((await witness.call({ path: `/v1/jobs/${job.id}/report` })).body).toEqual(REPORT);
  });
});
