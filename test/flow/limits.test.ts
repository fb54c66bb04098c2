/** Cancellation, deadlines and jobs that no worker can take. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectRoot } from '../../src/process/entry.ts';
import { isAlive } from '../../src/process/liveness.ts';
import { writeMnist } from '../support/datasets.ts';
import { allEvents, MNIST_TRANSFORM, problemOf, waitForEnd, waitForState, type JobView } from '../support/jobs.ts';
import { eventually, leftovers } from '../support/leftovers.ts';
import { startService, type RunningService } from '../support/service.ts';

let service: RunningService;
let folder: string;
let base: { model: string; dataset: string; transform: typeof MNIST_TRANSFORM };
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-limits-'));
  service = await startService({ LATHE_LEASE_SECONDS: '3', LATHE_MAX_ATTEMPTS: '2' });
  const model = await service.client.upload<{ id: string }>('/v1/models', join(projectRoot, 'examples/digit_cnn.onnx'));
  const dataset = await service.client.upload<{ id: string }>(
    '/v1/datasets',
    await writeMnist(join(folder, 'digits.zip'), 4000, 500),
  );
  base = { model: model.id, dataset: dataset.id, transform: MNIST_TRANSFORM };
});
afterAll(async () => {
  await service?.remove();
  rmSync(folder, { recursive: true, force: true });
});

const long = { technique: 'retrain', epochs: 500 };

async function running(request: object): Promise<{ id: string; pid: number }> {
  const { id } = await service.client.post<JobView>('/v1/jobs', { ...base, ...request });
  await waitForState(service.client, id, (state) => state === 'running');
  const pid = await eventually(60_000, () => {
    const [engine] = service.processes('engine');
    if (engine === undefined) throw new Error('no job process yet');
    return engine;
  });
  return { id, pid };
}

async function expectNothingLeft(): Promise<void> {
  expect(service.processes('engine')).toEqual([]);
  await eventually(5000, async () => expect(await leftovers(service.home, service.client)).toEqual([]));
}

test('a canceled job has no living process after 2 s', async () => {
  const { id, pid } = await running({ steps: [long] });
  const asked = Date.now();
  expect(['canceling', 'canceled']).toContain((await service.client.post<JobView>(`/v1/jobs/${id}/cancel`)).state);
  while (isAlive(pid) && Date.now() - asked < 5000) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(Date.now() - asked).toBeLessThan(2000);
  expect(await waitForEnd(service.client, id)).toMatchObject({ state: 'canceled' });
  expect(await problemOf(service.client.post(`/v1/jobs/${id}/cancel`))).toMatchObject({
    status: 409,
    code: 'conflict',
  });
  await expectNothingLeft();
});

test('a canceled job that still waits never runs', async () => {
  const first = await running({ steps: [long] });
  const { id } = await service.client.post<JobView>('/v1/jobs', { ...base, steps: [long] });
  await service.client.post(`/v1/jobs/${id}/cancel`);
  expect(await waitForEnd(service.client, id)).toMatchObject({ state: 'canceled', startedAt: null });
  await service.client.post(`/v1/jobs/${first.id}/cancel`);
  await waitForEnd(service.client, first.id);
});

test('a job ends with deadline-exceeded after limits.runSeconds', async () => {
  const { id } = await running({ steps: [long], limits: { runSeconds: 3 } });
  const job = await waitForEnd(service.client, id);
  expect(job).toMatchObject({ state: 'failed', error: { code: 'deadline-exceeded' } });
  expect(job.error!.message).toContain('runSeconds');
  expect(Date.parse(job.endedAt!) - Date.parse(job.startedAt!)).toBeLessThan(6000);
  await expectNothingLeft();
});

test('a job process that keeps dying ends the job with worker-lost', async () => {
  const { id, pid } = await running({ steps: [long] });
  process.kill(pid, 'SIGKILL');
  await eventually(60_000, () => {
    const [next] = service.processes('engine');
    if (next === undefined || next === pid) throw new Error('not started again yet');
    process.kill(next, 'SIGKILL');
  });
  expect(await waitForEnd(service.client, id)).toMatchObject({
    state: 'failed',
    error: { code: 'worker-lost' },
  });
  expect((await allEvents(service.client, id)).map(({ type }) => type)).toContain('retrying');
  await expectNothingLeft();
});

test('a gpu job waits where no worker has a GPU, says so, and expires', async () => {
  const { items } = await service.client.get<{ items: { pool: string }[] }>('/v1/workers');
  if (items.some(({ pool }) => pool === 'gpu')) return;
  const { id } = await service.client.post<JobView>('/v1/jobs', {
    ...base,
    device: 'gpu',
    steps: [long],
    limits: { queueSeconds: 3 },
  });
  const job = await waitForEnd(service.client, id);
  expect(job).toMatchObject({ state: 'expired', startedAt: null });
  const events = await allEvents(service.client, id);
  expect(events.map(({ type }) => type)).toEqual(['queued', 'waiting', 'expired']);
  expect(JSON.stringify(events[1]!.data)).toMatch(/gpu/i);
});

test('a stop gives a running job back; the next start takes it up again', async () => {
  const { id } = await running({ steps: [{ technique: 'retrain', epochs: 3 }] });
  expect(await service.stop()).toBe(0);
  await service.restart();
  expect(await waitForEnd(service.client, id), service.logs()).toMatchObject({ state: 'succeeded' });
  await expectNothingLeft();
});
