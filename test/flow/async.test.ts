/** Asynchronous training over HTTP: workers of a job, one of them killed, all of them, the server. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Report } from '../../src/contracts/report.ts';
import { projectRoot } from '../../src/process/entry.ts';
import { writeMnist } from '../support/datasets.ts';
import { MNIST_TRANSFORM, waitForEnd, waitForState, type JobView } from '../support/jobs.ts';
import { eventually, leftovers } from '../support/leftovers.ts';
import { startService, type RunningService } from '../support/service.ts';

let service: RunningService;
let folder: string;
let ids: { model: string; dataset: string };
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-async-'));
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

const submit = (epochs: number, parallel: object = {}) =>
  service.client.post<JobView>('/v1/jobs', {
    ...ids,
    seed: 1,
    transform: MNIST_TRANSFORM,
    training: { batchSize: 50, learningRate: 0.0005 },
    steps: [{ technique: 'prune-weights', sparsity: 0.6, schedule: 'gradual', epochs }],
    parallel: { mode: 'async', replicas: 2, ...parallel },
  });

const reportOf = (id: string) => service.client.get<Report>(`/v1/jobs/${id}/report`);

/** The workers of a job whose first epoch is over. */
async function trainingWorkers(id: string): Promise<number[]> {
  await eventually(120_000, async () => {
    const metrics = await service.client.get<{ items: unknown[] }>(`/v1/jobs/${id}/metrics`);
    expect(metrics.items.length).toBeGreaterThan(0);
  });
  return service.processes('replica');
}

const expectNoProcess = () =>
  eventually(5000, () => expect([...service.processes('engine'), ...service.processes('replica')]).toEqual([]));

async function succeeded(id: string): Promise<Report> {
  expect(await waitForEnd(service.client, id), service.logs()).toMatchObject({ state: 'succeeded', error: null });
  const report = await reportOf(id);
  expect(report.after.accuracy!.top1).toBeGreaterThan(0.95);
  await expectNoProcess();
  return report;
}

test('two workers train, and the report tells how late their gradients were', async () => {
  const { parallel, before, after } = await succeeded((await submit(3)).id);
  // 28 batches an epoch
  expect(parallel).toMatchObject({ mode: 'async', replicas: 2, steps: 84 });
  expect(parallel!.staleness!.reduce((sum, count) => sum + count, 0)).toBe(84);
  expect(parallel!.samplesPerSecond!.every((rate) => rate > 0)).toBe(true);
  expect(after.nonZero / before.nonZero).toBeLessThan(0.45);
});

test('workers that exchange after 5 batches of their own', async () => {
  const { parallel } = await succeeded((await submit(4, { localSteps: 5 })).id);
  expect(parallel).toMatchObject({ mode: 'async', replicas: 2, steps: 112 });
  expect(parallel!.staleness!.reduce((sum, count) => sum + count, 0)).toBeLessThan(60);
});

test('kill -9 of a worker: the other goes on, and the job ends right', async () => {
  const { id } = await submit(8);
  const workers = await trainingWorkers(id);
  expect(workers).toHaveLength(2);
  process.kill(workers[0]!, 'SIGKILL');
  const { warnings } = await succeeded(id);
  expect(warnings.filter(({ code }) => code === 'replica-lost')).toEqual([
    expect.objectContaining({ step: 0, message: expect.stringContaining('signal SIGKILL') as string }),
  ]);
});

test('kill -9 of all workers: the step starts again from its checkpoint', async () => {
  const { id } = await submit(8);
  for (const worker of await trainingWorkers(id)) process.kill(worker, 'SIGKILL');
  const { warnings } = await succeeded(id);
  expect(warnings.some(({ message }) => message.includes('starts again from its last checkpoint'))).toBe(true);
});

test('kill -9 of the server takes its workers along, and the job goes on', async () => {
  const { id } = await submit(6);
  const [worker] = await trainingWorkers(id);
  process.kill(service.processes('engine')[0]!, 'SIGKILL');
  await eventually(5000, () => expect(service.processes('replica')).not.toContain(worker));
  await succeeded(id);
});

test('canceling ends all processes, and nothing is left', async () => {
  const { id } = await submit(200);
  await trainingWorkers(id);
  await service.client.post(`/v1/jobs/${id}/cancel`);
  await waitForState(service.client, id, (state) => state === 'canceled', 20_000);
  expect([...service.processes('engine'), ...service.processes('replica')]).toEqual([]);
  await eventually(30_000, async () => expect(await leftovers(service.home, service.client)).toEqual([]));
});
