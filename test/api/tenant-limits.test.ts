/** Limits are asked for each tenant, and anew for each request. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KeyGenerator } from '../../src/api/key-generator.ts';
import type { TenantLimits } from '../../src/jobs/ports/tenant-limits.ts';
import { startApi, TEST_SECRET, type TestApi } from '../support/api.ts';
import { smallModel, table } from '../support/fixtures.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { Witness } from '../support/witness.ts';

const AMPLE: TenantLimits = { modelBytes: 1e6, datasetBytes: 1e6, storedBytes: 1e7, activeJobs: 10 };

let postgres: TestPostgres;
let api: TestApi;
const limits = new Map<string, TenantLimits>();
beforeAll(async () => {
  postgres = await startTestPostgres();
  api = await startApi({
    databaseUrl: await postgres.emptyDatabase(),
    tenantLimits: { limitsOf: async (tenantId) => limits.get(tenantId) ?? AMPLE },
  });
});
afterAll(async () => {
  await api?.close();
  await postgres?.stop();
});

/** A client of a new tenant, and a function that bounds what it may use. */
async function tenant(name: string) {
  const key = await api.memberOf(name);
  const principal = await api.store.keys.authenticate(new KeyGenerator(TEST_SECRET).mac(key));
  const bound = (changed: Partial<TenantLimits>) => limits.set(principal!.tenantId, { ...AMPLE, ...changed });
  return { witness: new Witness(api.url, key), bound };
}

const upload = (witness: Witness, kind: 'models' | 'datasets', content: Buffer) =>
  witness.call({ method: 'post', path: `/v1/${kind}`, file: { name: kind === 'models' ? 'm' : 'd.csv', content } });

test.each([
  ['models', 'modelBytes', smallModel()],
  ['datasets', 'datasetBytes', table()],
] as const)('bounds one upload to %s by %s of its tenant', async (kind, limit, content) => {
  const small = await tenant(`small ${kind}`);
  small.bound({ [limit]: 10 });
  const ample = await tenant(`ample ${kind}`);
  expect((await upload(small.witness, kind, content)).status).toBe(413);
  expect((await upload(ample.witness, kind, content)).status).toBe(201);
  small.bound({});
  expect((await upload(small.witness, kind, content)).status).toBe(201);
});

test('bounds what a tenant stores', async () => {
  const full = await tenant('full');
  full.bound({ storedBytes: 0 });
  const answer = await upload(full.witness, 'models', smallModel());
  expect(answer.status).toBe(429);
  expect(answer.text).toContain('bytes of storage are left');
});

test('bounds the unfinished jobs of a tenant', async () => {
  const statuses = await Promise.all(
    [1, 2].map(async (activeJobs) => {
      const { witness, bound } = await tenant(`busy ${activeJobs}`);
      bound({ activeJobs });
      const model = ((await upload(witness, 'models', smallModel())).body as { id: string }).id;
      const submit = () =>
        witness.call({
          method: 'post',
          path: '/v1/jobs',
          json: { model, steps: [{ technique: 'quantize', precision: 'float16' }] },
        });
      return [(await submit()).status, (await submit()).status];
    }),
  );
  expect(statuses).toEqual([
    [202, 429],
    [202, 202],
  ]);
});
