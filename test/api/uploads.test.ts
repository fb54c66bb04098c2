/** Uploads over HTTP: both kinds of body, the same bytes again, and nothing left of what fails. */
import { readdirSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import type { Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, type TestApi } from '../support/api.ts';
import { smallModel, table } from '../support/fixtures.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { Witness } from '../support/witness.ts';

interface Uploaded {
  id: string;
  name: string;
  sha256: string;
  sizeBytes: number;
}

let postgres: TestPostgres;
let api: TestApi;
let witness: Witness;
let stranger: string;
beforeAll(async () => {
  postgres = await startTestPostgres();
  api = await startApi({
    databaseUrl: await postgres.emptyDatabase(),
    tenantLimits: { modelBytes: 1_000_000, storedBytes: 3_000_000 },
  });
  witness = new Witness(api.url, api.key);
  stranger = await api.memberOf('stranger');
});
afterAll(async () => {
  await api?.close();
  await postgres?.stop();
});

const RAW = { 'content-type': 'application/octet-stream' };
const blobs = (): string[] =>
  readdirSync(api.folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
const uploaded = (response: Response): Uploaded => {
  expect(response.status, response.text).toBe(201);
  return response.body as Uploaded;
};
const code = (response: Response): string => (JSON.parse(response.text) as { code: string }).code;

describe('a model', () => {
  test("comes as raw body or as a form's file, with a name", async () => {
    const raw = await witness.call({
      method: 'post',
      path: '/v1/models?name=raw%20one',
      body: smallModel(1),
      headers: RAW,
    });
    expect(uploaded(raw)).toMatchObject({
      name: 'raw one',
      format: 'onnx',
      parameters: 131,
      inputs: [{ name: 'x', dtype: 'float32', shape: [null, 4] }],
    });
    expect(raw.headers.location).toBe(`/v1/models/${uploaded(raw).id}`);
    expect(
      uploaded(
        await witness.call({
          method: 'post',
          path: '/v1/models',
          file: { name: '../étude.onnx', content: smallModel(2) },
        }),
      ).name,
    ).toBe('étude.onnx');
    expect(
      uploaded(
        await witness.call({
          method: 'post',
          path: '/v1/models',
          body: smallModel(3),
          headers: { 'content-type': 'application/x-onnx' },
        }),
      ).name,
    ).toBe('model');
  });

  test('of the same bytes is the same model, of another tenant another', async () => {
    const first = uploaded(
      await witness.call({ method: 'post', path: '/v1/models?name=a', body: smallModel(4), headers: RAW }),
    );
    const again = await Promise.all(
      [1, 2, 3].map(() =>
        witness.call({ method: 'post', path: '/v1/models?name=b', body: smallModel(4), headers: RAW }),
      ),
    );
    expect(again.map((response) => uploaded(response))).toEqual([first, first, first]);
    const theirs = uploaded(
      await witness.call({ method: 'post', path: '/v1/models', body: smallModel(4), headers: RAW, key: stranger }),
    );
    expect(theirs.id).not.toBe(first.id);
    expect(theirs.sha256).toBe(first.sha256);
    // One file for both: it stays until the last of them goes.
    expect((await witness.call({ method: 'delete', path: `/v1/models/${first.id}` })).status).toBe(204);
    expect(blobs()).toContain(first.sha256);
    expect((await witness.call({ method: 'delete', path: `/v1/models/${theirs.id}`, key: stranger })).status).toBe(204);
    expect(blobs()).not.toContain(first.sha256);
  });
});

describe('a dataset', () => {
  test('that is read in another way is another dataset', async () => {
    const upload = async (query: string) =>
      uploaded(
        await witness.call({
          method: 'post',
          path: `/v1/datasets?${query}`,
          body: table(),
          headers: { 'content-type': 'text/csv' },
        }),
      );
    const [classes, values, again] = [
      await upload('target=kind'),
      await upload('target=f1'),
      await upload('target=kind'),
    ];
    expect(classes).toMatchObject({
      format: 'csv',
      samples: 60,
      target: { kind: 'classes', classes: 3 },
      options: { target: 'kind' },
    });
    expect(values.id).not.toBe(classes.id);
    expect(again.id).toBe(classes.id);
  });
});

describe('nothing stays of an upload', () => {
  async function refused(call: Parameters<Witness['call']>[0]): Promise<Response> {
    const before = blobs();
    const response = await witness.call(call);
    // files of refused uploads before this one may still go
    expect(blobs().filter((name) => !before.includes(name))).toEqual([]);
    return response;
  }

  test('that is no model', async () => {
    expect(
      code(
        await refused({ method: 'post', path: '/v1/models', body: Buffer.from('neither fish nor fowl'), headers: RAW }),
      ),
    ).toBe('malformed-model');
    expect(code(await refused({ method: 'post', path: '/v1/models', body: '', headers: RAW }))).toBe('malformed-model');
    expect(code(await refused({ method: 'post', path: '/v1/models' }))).toBe('malformed-model');
  });

  test('that is too large, announced or not', async () => {
    const large = Buffer.alloc(1_000_001);
    expect(code(await refused({ method: 'post', path: '/v1/models', body: large, headers: RAW }))).toBe('too-large');
    expect(code(await refused({ method: 'post', path: '/v1/models', file: { name: 'large', content: large } }))).toBe(
      'too-large',
    );
    const before = blobs();
    const chunked = await fetch(`${api.url}/v1/models`, {
      method: 'POST',
      duplex: 'half',
      headers: { authorization: `Bearer ${api.key}`, ...RAW },
      body: Readable.toWeb(Readable.from(Array.from({ length: 100 }, () => Buffer.alloc(100_000)))) as ReadableStream,
    });
    expect(chunked.status).toBe(413);
    expect(blobs()).toEqual(before);
  });

  test('over the space that a tenant may use', async () => {
    const key = await api.memberOf('hoarder');
    const answers: number[] = [];
    for (let i = 0; i < 5; i++) {
      const padded = `${table().toString()}\n${'0.5,0.5,1,1,a\n'.repeat(60_000)}${'0.25,0.5,1,1,a\n'.repeat(i + 1)}`;
      answers.push(
        (
          await witness.call({
            method: 'post',
            path: '/v1/datasets?target=kind',
            body: padded,
            headers: { 'content-type': 'text/csv' },
            key,
          })
        ).status,
      );
    }
    expect(answers.at(0)).toBe(201);
    expect(answers.at(-1)).toBeOneOf([413, 429]);
  });

  test('whose client goes away in the middle', async () => {
    const before = blobs();
    await new Promise<void>((resolve) => {
      const request = httpRequest(`${api.url}/v1/models`, {
        method: 'POST',
        headers: { authorization: `Bearer ${api.key}`, ...RAW, 'content-length': '100000' },
      });
      request.on('error', () => resolve());
      request.write(Buffer.alloc(50_000), () => setTimeout(() => request.destroy(new Error('gone')), 100));
    });
    await expect.poll(blobs).toEqual(before);
    expect((await witness.call({ path: '/healthz', key: null })).status).toBe(200);
  });

  test('that is a form without the field "file", or a broken form', async () => {
    expect(
      code(
        await refused({
          method: 'post',
          path: '/v1/models',
          file: { name: 'x', field: 'model', content: smallModel(9) },
        }),
      ),
    ).toBe('invalid-request');
    expect(
      code(
        await refused({
          method: 'post',
          path: '/v1/models',
          body: 'no parts',
          headers: { 'content-type': 'multipart/form-data; boundary=x' },
        }),
      ),
    ).toBe('invalid-request');
    expect(
      code(
        await refused({
          method: 'post',
          path: '/v1/models',
          body: 'no parts',
          headers: { 'content-type': 'multipart/form-data' },
        }),
      ),
    ).toBe('invalid-request');
    const cut = `--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf a fi`;
    expect(
      code(
        await refused({
          method: 'post',
          path: '/v1/models',
          body: cut,
          headers: { 'content-type': 'multipart/form-data; boundary=x' },
        }),
      ),
    ).toBe('invalid-request');
  });
});
