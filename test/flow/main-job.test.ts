/**
 * The main job, end to end over HTTP against the real service: a trained CNN pruned, distilled and quantized on real
 * digits.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Report } from '../../src/contracts/report.ts';
import { projectRoot } from '../../src/process/entry.ts';
import { writeMnist } from '../support/datasets.ts';
import { allEvents, MNIST_TRANSFORM, waitForEnd, type JobView } from '../support/jobs.ts';
import { eventually, leftovers } from '../support/leftovers.ts';
import { startService, type RunningService } from '../support/service.ts';

interface Uploaded {
  readonly id: string;
  readonly sha256: string;
  readonly parameters: number;
  readonly trainable: boolean;
  readonly samples: number;
}

let service: RunningService;
let folder: string;
let model: Uploaded;
let dataset: Uploaded;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-main-job-'));
  service = await startService({ LATHE_LATENCY_SECONDS: '1.5' }); // as in production
  model = await service.client.upload<Uploaded>('/v1/models', join(projectRoot, 'examples/digit_cnn.onnx'));
  dataset = await service.client.upload<Uploaded>(
    '/v1/datasets',
    await writeMnist(join(folder, 'digits.zip'), 6000, 2000),
  );
});
afterAll(async () => {
  await service?.remove();
  rmSync(folder, { recursive: true, force: true });
});

function request() {
  return {
    model: model.id,
    dataset: dataset.id,
    seed: 1,
    labels: { team: 'vision' },
    transform: MNIST_TRANSFORM,
    steps: [
      { technique: 'prune-weights', sparsity: 0.9, schedule: 'gradual', epochs: 2 },
      { technique: 'distill', teacher: 'original', method: 'logits', temperature: 4, epochs: 1 },
      { technique: 'quantize', precision: 'int8', method: 'static' },
    ],
  };
}

describe('the main job', () => {
  let job: JobView;
  let report: Report;

  test('is described at upload', () => {
    expect(model).toMatchObject({ parameters: 390_410, trainable: true });
    expect(dataset).toMatchObject({ samples: 8000, splits: { train: expect.any(Number) as number, test: 2000 } });
  });

  test('succeeds, and its events tell so in order', async () => {
    const { id } = await service.client.post<JobView>('/v1/jobs', request());
    job = await waitForEnd(service.client, id);
    expect(job, service.logs()).toMatchObject({ state: 'succeeded', progress: 1, error: null });
    expect(job.steps.map(({ state }) => state)).toEqual(['succeeded', 'succeeded', 'succeeded']);
    const types = (await allEvents(service.client, id)).map(({ type }) => type);
    expect(types.at(0)).toBe('queued');
    expect(types).toContain('started');
    expect(types).toContain('metric');
    expect(types.at(-1)).toBe('succeeded');
  });

  test('reports a model that is smaller, faster and about as good', async () => {
    report = await service.client.get<Report>(`/v1/jobs/${job.id}/report`);
    const { before, after } = report;
    expect(after.sizeBytes / before.sizeBytes).toBeLessThan(0.27);
    expect(after.gzipBytes / before.gzipBytes).toBeLessThan(0.11);
    expect(after.nonZero / before.nonZero).toBeLessThan(0.15);
    expect(before.accuracy).toMatchObject({ samples: 2000, split: 'test' });
    expect(before.accuracy!.top1!).toBeGreaterThan(0.97);
    expect(after.accuracy!.top1!).toBeGreaterThan(before.accuracy!.top1! - 0.015);
    expect(after.latencyMs!.simulated).toBe(false);
  });

  test('gives a file that is what was measured, and runs in onnxruntime', async () => {
    const artifact = job.artifacts.find(({ id }) => id === job.recommended)!;
    const path = join(folder, 'result.onnx');
    await service.client.download(artifact, path);
    const bytes = readFileSync(path);
    expect(bytes.length).toBe(report.after.sizeBytes);
    const session = await InferenceSession.create(bytes);
    const outputs = await session.run({
      [session.inputNames[0]!]: new Tensor('float32', new Float32Array(3 * 784), [3, 1, 28, 28]),
    });
    expect(outputs[session.outputNames[0]!]!.dims).toEqual([3, 10]);
  });

  test('comes with a manifest that names the inputs and the files', async () => {
    const entry = job.artifacts.find(({ name }) => name === 'manifest.json')!;
    const path = join(folder, 'manifest.json');
    await service.client.download(entry, path);
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as {
      input: { model: { sha256: string } };
      files: { sha256: string }[];
      seed: number;
    };
    expect(manifest.input.model.sha256).toBe(
      createHash('sha256')
        .update(readFileSync(join(projectRoot, 'examples/digit_cnn.onnx')))
        .digest('hex'),
    );
    expect(manifest.files.map(({ sha256 }) => sha256)).toContain(
      job.artifacts.find(({ id }) => id === job.recommended)!.sha256,
    );
    expect(manifest.seed).toBe(1);
  });

  test('leaves no process, no scratch and no unnamed file', async () => {
    expect(service.processes('engine')).toEqual([]);
    await eventually(5000, async () => expect(await leftovers(service.home, service.client)).toEqual([]));
  });
});

test('a clean stop ends every process with exit code 0, and a restart finds all that was', async () => {
  const before = await service.client.get<{ items: { id: string }[] }>('/v1/jobs');
  expect(await service.stop()).toBe(0);
  expect((['api', 'supervisor', 'engine'] as const).flatMap(service.processes)).toEqual([]);
  await service.restart();
  expect(await service.client.get<{ items: { id: string }[] }>('/v1/jobs')).toEqual(before);
});

test('a second start on the same folder is refused with the reason', async () => {
  await expect(service.restart()).rejects.toThrow(/already runs in .*lathe-flow/);
});
