/** The client against a real HTTP server that breaks connections, and records what it is sent. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LatheClient, ProblemError, unwrap } from './index.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

const content = randomBytes(300_000);
const artifact = { id: 'art_1', sha256: createHash('sha256').update(content).digest('hex') };
let folder: string;
let handler: Handler;
let requests: { line: string; headers: IncomingMessage['headers']; body: Buffer }[];
let url: string;
let client: LatheClient;
const server = createServer((request, response) => void receive(request, response));

async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = Buffer.concat(await request.toArray());
  requests.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
  handler(request, response, body);
}

beforeEach(async () => {
  requests = [];
  folder = mkdtempSync(join(tmpdir(), 'lathe-client-'));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  client = new LatheClient({ url, apiKey: 'secret' });
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

const json = (response: ServerResponse, status: number, value: object, type = 'application/json') =>
  response.writeHead(status, { 'content-type': type }).end(JSON.stringify(value));

describe('operations', () => {
  test('are typed requests with the key', async () => {
    handler = (_request, response) => json(response, 200, { items: [], nextCursor: null });
    const page = await unwrap(client.api.GET('/v1/jobs', { params: { query: { limit: 2, label: ['a:b', 'c'] } } }));
    expect(page).toEqual({ items: [], nextCursor: null });
    expect(requests[0]).toMatchObject({
      line: 'GET /v1/jobs?limit=2&label=a%3Ab&label=c',
      headers: { authorization: 'Bearer secret' },
    });
  });

  test('a problem is an error with code and fields', async () => {
    const errors = [{ path: '/steps/0', message: 'is unknown' }];
    handler = (_request, response) =>
      json(response, 400, { code: 'invalid-request', detail: 'No', errors }, 'application/problem+json');
    const refused = client.submitJob({ model: 'mdl_1', steps: [] }, { idempotencyKey: 'k' });
    await expect(refused).rejects.toThrow(ProblemError);
    await expect(refused).rejects.toMatchObject({ status: 400, code: 'invalid-request', message: 'No', errors });
    expect(requests[0]?.headers['idempotency-key']).toBe('k');
  });

  test("a proxy's page is an error too", async () => {
    handler = (_request, response) => response.writeHead(502).end('<h1>Bad gateway</h1>');
    await expect(client.api.GET('/v1/workers')).rejects.toMatchObject({
      status: 502,
      code: 'unknown',
      message: '<h1>Bad gateway</h1>',
    });
  });

  test('no answer names the address', async () => {
    const nobody = new LatheClient({ url: 'http://127.0.0.1:1', apiKey: 'k' });
    await expect(nobody.api.GET('/v1/workers')).rejects.toThrow(/^No answer from http:\/\/127\.0\.0\.1:1: /);
  });
});

describe('uploads', () => {
  test.each(['raw', 'multipart'] as const)('%s: the bytes, their number and progress', async (encoding) => {
    const file = join(folder, 'my "net".onnx');
    writeFileSync(file, content);
    handler = (_request, response) => json(response, 201, { id: 'mdl_1' });
    const progress: number[] = [];
    const onProgress = (sent: number, total: number) => progress.push(sent / total);
    expect(await client.uploadModel(file, { encoding, onProgress })).toEqual({ id: 'mdl_1' });
    const [{ line, headers, body }] = requests as [(typeof requests)[0]];
    expect(line).toBe('POST /v1/models?name=my%20%22net%22.onnx');
    expect(headers['content-length']).toBe(String(body.length));
    const form = new Response(new Uint8Array(body), { headers: { 'content-type': headers['content-type'] ?? '' } });
    const sent = encoding === 'raw' ? body : await fileOf(form);
    expect(content.equals(sent)).toBe(true);
    expect(progress.at(-1)).toBe(1);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  });

  test('a file that is not there is told before anything is sent', async () => {
    await expect(client.uploadDataset(join(folder, 'none.npz'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(requests).toEqual([]);
  });
});

async function fileOf(form: Response): Promise<Buffer> {
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- a test's own server, and small bodies
  const file = (await form.formData()).get('file') as unknown as File;
  expect(file.name).toBe('my "net".onnx');
  return Buffer.from(await file.arrayBuffer());
}

describe('downloads', () => {
  const range = (request: Pick<IncomingMessage, 'headers'>) =>
    Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const send = (response: ServerResponse, from: number) =>
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': content.length - from });
  /** Sends up to `bytes`, then breaks the connection. */
  const breaking =
    (bytes: number): Handler =>
    (request, response) => {
      const from = range(request);
      send(response, from).write(content.subarray(from, from + bytes), () => setTimeout(() => response.destroy(), 20));
    };
  const whole: Handler = (request, response) => send(response, range(request)).end(content.subarray(range(request)));

  test('go on where the connection broke', async () => {
    handler = (...args) => (requests.length < 3 ? breaking(100_000) : whole)(...args);
    await client.download(artifact, join(folder, 'net.onnx'));
    expect(content.equals(readFileSync(join(folder, 'net.onnx')))).toBe(true);
    const [first = NaN, second = NaN, third = NaN] = requests.map(range);
    expect([first, requests.length]).toEqual([0, 3]);
    expect(second).toBeGreaterThan(first);
    expect(third).toBeGreaterThan(second);
    expect(readdirSync(folder)).toEqual(['net.onnx']);
  });

  test('that were given up are gone on with by the next', async () => {
    const file = join(folder, 'net.onnx');
    handler = breaking(100_000);
    await expect(client.download(artifact, file, { retries: 0 })).rejects.toThrow();
    expect(existsSync(file)).toBe(false);
    handler = whole;
    await client.download(artifact, file);
    expect(requests.map(range)).toEqual([0, expect.toSatisfy((from: number) => from > 0 && from <= 100_000)]);
    expect(content.equals(readFileSync(file))).toBe(true);
  });

  test('begin anew where the service sends no parts', async () => {
    writeFileSync(join(folder, `net.onnx.${artifact.sha256.slice(0, 16)}.part`), content.subarray(0, 5000));
    handler = (_request, response) => send(response, 0).end(content);
    await client.download(artifact, join(folder, 'net.onnx'));
    expect(content.equals(readFileSync(join(folder, 'net.onnx')))).toBe(true);
  });

  test('of other bytes leave nothing behind', async () => {
    handler = (_request, response) => response.end('something else');
    await expect(client.download(artifact, join(folder, 'net.onnx'))).rejects.toThrow(/sha-256 is [0-9a-f]{64}, not/);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('that are refused are not tried again', async () => {
    handler = (_request, response) => json(response, 404, { code: 'not-found' }, 'application/problem+json');
    await expect(client.download(artifact, join(folder, 'net.onnx'))).rejects.toMatchObject({ code: 'not-found' });
    expect(requests).toHaveLength(1);
  });
});

describe('events', () => {
  const text = (id: number, type: string) => `id: ${id}\nevent: ${type}\ndata: {"n":${id}}\n\n`;
  const open = (response: ServerResponse) => response.writeHead(200, { 'content-type': 'text/event-stream' });

  test('go on after the last one where the connection broke, and end with the job', async () => {
    handler = (request, response) => {
      if (request.headers['last-event-id'] === '2') open(response).write(text(3, 'succeeded'));
      else open(response).write(text(1, 'queued') + text(2, 'started'), () => setTimeout(() => response.destroy(), 20));
    };
    const seen: unknown[] = [];
    for await (const { id, type, data } of client.events('job_1')) seen.push([id, type, data]);
    expect(seen).toEqual([
      ['1', 'queued', { n: 1 }],
      ['2', 'started', { n: 2 }],
      ['3', 'succeeded', { n: 3 }],
    ]);
  });

  test('of a job without new ones are none', async () => {
    handler = (_request, response) => response.writeHead(204).end();
    const seen = [];
    for await (const event of client.events('job_1', { lastEventId: '3' })) seen.push(event);
    expect(seen).toEqual([]);
    expect(requests[0]?.headers['last-event-id']).toBe('3');
  });

  test('end when aborted', async () => {
    handler = (_request, response) => open(response).write(text(1, 'queued'));
    const stop = new AbortController();
    const follow = async () => {
      for await (const _event of client.events('job_1', { signal: stop.signal })) stop.abort(new Error('enough'));
    };
    await expect(follow()).rejects.toThrow('enough');
    expect(requests).toHaveLength(1);
  });
});
