/** The queue on Redis: the same service, and a Redis that is killed and comes back. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../src/process/entry.ts';
import { waitForEnd, type JobView } from '../support/jobs.ts';
import { isAlive } from '../../src/process/liveness.ts';
import { eventually, leftovers } from '../support/leftovers.ts';
import { redisServer, startRedis, type TestRedis } from '../support/redis.ts';
import { startService, type RunningService } from '../support/service.ts';

const FLOAT16 = [{ technique: 'quantize', precision: 'float16', method: 'cast' }];

describe.skipIf(!redisServer)('with REDIS_URL', () => {
  let folder: string;
  let redis: TestRedis;
  let service: RunningService;
  let model: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lathe-redis-flow-'));
    redis = await startRedis();
    service = await startService({ REDIS_URL: redis.url, LATHE_LEASE_SECONDS: '3', LATHE_LOG_LEVEL: 'info' });
    model = (await service.client.upload<{ id: string }>('/v1/models', join(projectRoot, 'examples/digit_cnn.onnx')))
      .id;
  });
  afterAll(async () => {
    await service?.remove();
    await redis?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const lastMessage = (name: string) => {
    const log = readFileSync(join(service.home, 'logs', `${name}.log`), 'utf8');
    return (JSON.parse(log.trimEnd().split('\n').at(-1)!) as { msg: string }).msg;
  };
  const submit = () => service.client.post<JobView>('/v1/jobs', { model, steps: FLOAT16 });

  test('jobs run', async () => {
    const { id } = await submit();
    expect(await waitForEnd(service.client, id), service.logs()).toMatchObject({ state: 'succeeded' });
  });

  test('jobs that are accepted while Redis is away run when it is back, and what ran goes on', async () => {
    const before = await submit();
    await sleep(500);
    await redis.kill();
    const during = await submit();
    await sleep(2000);
    await redis.restart();
    for (const { id } of [before, during])
      expect(await waitForEnd(service.client, id), service.logs()).toMatchObject({ state: 'succeeded' });
    await eventually(5000, async () => expect(await leftovers(service.home, service.client)).toEqual([]));
  });

  test('a stop does not wait for a Redis that is away', async () => {
    const { id } = await service.client.post<JobView>('/v1/jobs', { model, steps: FLOAT16 });
    await waitForEnd(service.client, id);
    await redis.kill();
    const pids = (['api', 'supervisor'] as const).flatMap(service.processes);
    await service.stop();
    // Each ended by itself: the launcher kills one that does not, and that says nothing more.
    expect(lastMessage('api')).toBe('stopped');
    expect(['stopped', 'database or queue did not close in time']).toContain(lastMessage('supervisor'));
    expect(pids.filter(isAlive)).toEqual([]);
  });
});
