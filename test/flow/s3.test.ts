/** Artifacts in a bucket: uploads, a job and downloads, and a second machine that has never seen the files. */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectRoot } from '../../src/process/entry.ts';
import { waitForEnd, type JobView } from '../support/jobs.ts';
import { startS3, type TestS3 } from '../support/s3.ts';
import { startService, type RunningService } from '../support/service.ts';

const MODEL = join(projectRoot, 'examples/digit_cnn.onnx');
const FLOAT16 = [{ technique: 'quantize', precision: 'float16', method: 'cast' }];

let s3: TestS3;
let service: RunningService;
beforeAll(async () => {
  s3 = await startS3();
  service = await startService({ LATHE_S3_URL: s3.url });
});
afterAll(async () => {
  await service?.remove();
  await s3?.stop();
});

const submit = (model: string) => service.client.post<JobView>('/v1/jobs', { model, steps: FLOAT16 });

test('with LATHE_S3_URL a machine without copies of the files runs the job and serves the result', async () => {
  const { id: model } = await service.client.upload<{ id: string }>('/v1/models', MODEL);
  await service.stop();
  rmSync(join(service.home, 'artifact-copies'), { recursive: true });
  await service.restart();
  const job = await waitForEnd(service.client, (await submit(model)).id);
  expect(job, service.logs()).toMatchObject({ state: 'succeeded' });
  await service.stop();
  rmSync(join(service.home, 'artifact-copies'), { recursive: true });
  await service.restart();
  const { sha256, id, sizeBytes } = job.artifacts.find((artifact) => artifact.id === job.recommended)!;
  const answer = await fetch(`${service.url}/v1/artifacts/${id}/content`, {
    headers: { authorization: `Bearer ${service.apiKey}` },
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  expect(bytes.length).toBe(sizeBytes);
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256);
  expect(bytes.length).toBeLessThan(readFileSync(MODEL).length * 0.55);
});
