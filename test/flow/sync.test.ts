/** Synchronous replicas over HTTP: a job trains on two processes, one of them is killed, a job is canceled. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Report } from '../../src/contracts/report.ts';
import { projectRoot } from '../../src/process/entry.ts';
import { writeMnist } from '../support/datasets.ts';
import { allEvents, MNIST_TRANSFORM, waitForEnd, waitForState, type JobView } from '../support/jobs.ts';
import { eventually, leftovers } from '../support/leftovers.ts';
import { startService, type RunningService } from '../support/service.ts';

let service: RunningService;
let folder: string;
let ids: { model: string; dataset: string };
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-sync-'));
  service = await startService({ LATHE_THREADS: '2' });
  const { client } = service;
  const model = await client.upload<{ id: string }>('/v1/models', join(projectRoot, 'examples/digit_cnn.onnx'));
  const zip = await writeMnist(join(folder, 'digits.zip'), 1500, 300);
  ids = { model: model.id, dataset: (await client.upload<{ id: string }>('/v1/datasets', zip)).id };
});
afterAll(async () => {
  await service?.remove();
  rmSync(folder, { recursive: true, force: true });
});

const submit = (epochs: number, more: object = {}) =>
  service.client.post<JobView>('/v1/jobs', {
    ...ids,
    seed: 1,
    transform: MNIST_TRANSFORM,
    training: { batchSize: 100, learningRate: 0.0005 },
    steps: [
      { technique: 'prune-weights', sparsity: 0.6, schedule: 'gradual', epochs },
      { technique: 'quantize', precision: 'int8', method: 'static' },
    ],
    parallel: { mode: 'sync', replicas: 2 },
    ...more,
  });

const reportOf = (id: string) => service.client.get<Report>(`/v1/jobs/${id}/report`);

/** The replica of a job whose first epoch is over. */
async function trainingReplica(id: string): Promise<number> {
  await eventually(120_000, async () => {
    const metrics = await service.client.get<{ items: unknown[] }>(`/v1/jobs/${id}/metrics`);
    expect(metrics.items.length).toBeGreaterThan(0);
  });
  const [pid, ...others] = service.processes('replica');
  expect(others).toEqual([]);
  return pid!;
}

const expectNoProcess = () =>
  eventually(5000, () => expect([...service.processes('engine'), ...service.processes('replica')]).toEqual([]));

test('two replicas train what one process does, and the report says how they spent their time', async () => {
  const { id } = await submit(2);
  expect(await waitForEnd(service.client, id), service.logs()).toMatchObject({ state: 'succeeded', error: null });
  const together = await reportOf(id);
  expect(together.parallel).toMatchObject({ mode: 'sync', replicas: 2, steps: 28 });
  expect(together.parallel!.stepMs.every((ms) => ms > 0)).toBe(true);
  expect(together.parallel!.exchangeMs).toBeGreaterThan(0);
  expect(together.parallel!.waitShare).toBeGreaterThanOrEqual(0);
  expect(together.parallel!.waitShare).toBeLessThan(1);

  const alone = await submit(2, { parallel: { mode: 'none' } });
  expect(await waitForEnd(service.client, alone.id), service.logs()).toMatchObject({ state: 'succeeded', error: null });
  const one = await reportOf(alone.id);
  expect(one.parallel).toBeUndefined();
  expect(together.after.nonZero).toBe(one.after.nonZero);
  expect(Math.abs(together.steps[0]!.after.accuracy!.loss - one.steps[0]!.after.accuracy!.loss)).toBeLessThan(0.002);
  await expectNoProcess();
});

test('kill -9 of a replica: the step goes on from its checkpoint with a new one', async () => {
  const { id } = await submit(6);
  process.kill(await trainingReplica(id), 'SIGKILL');
  expect(await waitForEnd(service.client, id), service.logs()).toMatchObject({ state: 'succeeded', error: null });
  const { warnings, parallel } = await reportOf(id);
  expect(warnings.filter(({ code }) => code === 'replica-lost')).toEqual([
    expect.objectContaining({ step: 0, message: expect.stringContaining('signal SIGKILL') as string }),
  ]);
  expect(parallel).toMatchObject({ replicas: 2 });
  const epochs = (await allEvents(service.client, id)).filter(({ type }) => type === 'metric');
  expect(epochs.map(({ data }) => (data as { epoch: number }).epoch)).toEqual([1, 2, 3, 4, 5, 6]);
  await expectNoProcess();
});

test('canceling ends all processes, and nothing is left', async () => {
  const { id } = await submit(200);
  await trainingReplica(id);
  await service.client.post(`/v1/jobs/${id}/cancel`);
  await waitForState(service.client, id, (state) => state === 'canceled', 20_000);
  expect([...service.processes('engine'), ...service.processes('replica')]).toEqual([]);
  await eventually(30_000, async () => expect(await leftovers(service.home, service.client)).toEqual([]));
});

test('kill -9 of the job process takes its replicas along, and the job goes on', async () => {
  const { id } = await submit(4);
  const replica = await trainingReplica(id);
  process.kill(service.processes('engine')[0]!, 'SIGKILL');
  await eventually(5000, () => expect(service.processes('replica')).not.toContain(replica));
  expect(await waitForEnd(service.client, id), service.logs()).toMatchObject({ state: 'succeeded', error: null });
  expect((await reportOf(id)).parallel).toMatchObject({ replicas: 2 });
  await expectNoProcess();
});
