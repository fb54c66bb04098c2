/** Everything that goes wrong is told as problem+json, whoever finds it: Lathe, Fastify, or Node's HTTP parser. */
import { connect } from 'node:net';
import type { Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { Witness } from '../support/witness.ts';

let postgres: TestPostgres;
let api: TestApi;
let witness: Witness;
beforeAll(async () => {
  postgres = await startTestPostgres();
  api = await startApi({ databaseUrl: await postgres.emptyDatabase() });
  witness = new Witness(api.url, api.key);
});
afterAll(async () => {
  await api?.close();
  await postgres?.stop();
});

function expectProblem(response: Response, code: ErrorCode): { detail: string; errors: { path: string }[] } {
  expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
  const problem = JSON.parse(response.text) as { detail: string; errors: { path: string }[] };
  expect(problem).toMatchObject({
    type: `urn:lathe:error:${code}`,
    title: ERRORS[code].title,
    status: ERRORS[code].status,
    code,
  });
  expect(response.status).toBe(ERRORS[code].status);
  return problem;
}

describe('a request', () => {
  test('for what is not there', async () => {
    for (const path of ['/', '/v1', '/v1/nothing', '/v2/models', '/v1/models/a/b/c'])
      expectProblem(await witness.call({ path }), 'not-found');
  });

  test('with ids of every kind of character', async () => {
    for (const id of ['x', '%00', "'%20OR%201=1", '%F0%9F%98%80', 'a'.repeat(199), 'mdl_%2e%2e%2fetc'])
      expectProblem(await witness.call({ path: `/v1/models/${id}` }), 'not-found');
  });

  test('with a method that the path does not know is told which it does', async () => {
    const response = await witness.call({ method: 'put', path: '/v1/models' });
    expectProblem(response, 'method-not-allowed');
    expect((response.headers.allow as string).split(', ').toSorted()).toEqual(['GET', 'HEAD', 'POST']);
    expectProblem(await witness.call({ method: 'put', path: '/healthz' }), 'method-not-allowed');
  });

  test('whose JSON is none', async () => {
    const post = (json: string) => witness.call({ method: 'post', path: '/v1/jobs', json });
    for (const json of ['{"model":', '', '{"a":1}}', '{"__proto__":{"x":1}}'])
      expectProblem(await post(json), 'invalid-request');
    for (const json of ['[]', 'null', '"text"', '7']) expectProblem(await post(json), 'invalid-request');
  });

  test('whose JSON is of the wrong shape is told where', async () => {
    const response = await witness.call({
      method: 'post',
      path: '/v1/jobs',
      json: { model: 1, steps: [{ technique: 7 }], labels: { a: 1 }, limits: { runSeconds: 'long' } },
    });
    expect(
      expectProblem(response, 'invalid-request')
        .errors.map(({ path }) => path)
        .toSorted(),
    ).toEqual(['/labels/a', '/limits/runSeconds', '/model', '/steps/0/technique']);
  });

  test('whose query makes no sense is told where', async () => {
    expect(
      expectProblem(await witness.call({ path: '/v1/jobs?limit=many&order=up' }), 'invalid-request')
        .errors.map(({ path }) => path)
        .toSorted(),
    ).toEqual(['?limit', '?order']);
    for (const cursor of ['x', '%00', Buffer.from('mdl_00000000000000000000000000').toString('base64url')])
      expectProblem(await witness.call({ path: `/v1/jobs?cursor=${cursor}` }), 'invalid-request');
  });

  test('without a key, or with a wrong one', async () => {
    for (const authorization of [
      undefined,
      'Bearer',
      'Bearer  ',
      'Basic YTpi',
      `Bearer ${api.key}x`,
      `Token ${api.key}`,
    ]) {
      const response = await witness.call({
        path: '/v1/models',
        key: null,
        headers: authorization === undefined ? {} : { authorization },
      });
      expectProblem(response, 'unauthorized');
      expect(response.headers['www-authenticate']).toBe('Bearer realm="lathe"');
    }
    expect(
      (await witness.call({ path: '/v1/models', key: null, headers: { authorization: `bearer ${api.key}` } })).status,
    ).toBe(200);
  });

  test('with a key that was revoked', async () => {
    const { id, key } = (await witness.call({ method: 'post', path: '/v1/keys', json: { tenant: 'brief', name: 'k' } }))
      .body as { id: string; key: string };
    expect(key).toMatch(/^lathe_[\w-]{43}$/);
    expect((await witness.call({ path: '/v1/models', key })).status).toBe(200);
    await witness.call({ method: 'delete', path: `/v1/keys/${id}` });
    expectProblem(await witness.call({ path: '/v1/models', key }), 'unauthorized');
    const { items } = (await witness.call({ path: '/v1/keys' })).body as { items: object[] };
    expect(JSON.stringify(items)).not.toContain(key);
  });

  test('has an id, its own where that is fit', async () => {
    expect(
      (await witness.call({ path: '/v1/nothing', headers: { 'x-request-id': 'trace-1' } })).headers['x-request-id'],
    ).toBe('trace-1');
    const made = await witness.call({ path: '/v1/nothing', headers: { 'x-request-id': 'a b' } });
    expect(made.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(JSON.parse(made.text)).toMatchObject({
      instance: `urn:lathe:request:${made.headers['x-request-id'] as string}`,
    });
  });
});

test.each([
  'GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n',
  'NONSENSE\r\n\r\n',
  `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
])('what is no HTTP is told so', async (text) => {
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(new URL(api.url).port), '127.0.0.1', () => socket.write(text));
    let received = '';
    socket.setTimeout(5000, () => socket.destroy());
    socket.on('data', (chunk) => {
      received += chunk.toString();
      if (received.includes('}')) socket.destroy();
    });
    socket.on('close', () => resolve(received));
    socket.on('error', reject);
  });
  expect(answer).toMatch(/^HTTP\/1\.1 4\d\d/);
  expect(answer.toLowerCase()).toContain('content-type: application/problem+json');
  expect(JSON.parse(answer.slice(answer.indexOf('{')))).toMatchObject({ code: 'invalid-request' });
});

test('the pages of the document need nothing from elsewhere', async () => {
  const page = await witness.call({ path: '/docs/', key: null });
  expect(page.status).toBe(200);
  expect(page.headers['content-security-policy']).not.toMatch(/upgrade-insecure-requests|swagger\.io/);
  const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] as string);
  expect(assets.length).toBeGreaterThan(3);
  for (const asset of assets) {
    expect(asset).not.toMatch(/^(https?:)?\/\//);
    expect((await witness.call({ path: new URL(asset, 'http://x/docs/').pathname, key: null })).status).toBe(200);
  }
  expect((await witness.call({ path: '/openapi.json', key: null })).body).toMatchObject({ openapi: '3.1.0' });
});

test('metrics tell of requests, jobs and queue', async () => {
  const { text } = await witness.call({ path: '/metrics', key: null });
  for (const name of [
    'lathe_http_request_duration_seconds_count{method="GET",route="/v1/models",status="200"}',
    'lathe_jobs{state="queued"} 0',
    'lathe_queue_depth{pool="cpu"} 0',
    'lathe_workers{pool="gpu"} 0',
  ])
    expect(text).toContain(name);
});
