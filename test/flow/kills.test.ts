/**
 * `kill -9` of job process, supervisor and API at 20 random moments while jobs come in and run: every accepted job
 * ends once, with one result, and no temporary file is left.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import seedrandom from 'seedrandom';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isEnded } from '../../src/contracts/job-states.ts';
import { projectRoot } from '../../src/process/entry.ts';
import { isAlive } from '../../src/process/liveness.ts';
import { writeMnist } from '../support/datasets.ts';
import { allEvents, MNIST_TRANSFORM, patiently, waitForEnd, type JobView } from '../support/jobs.ts';
import { eventually, leftovers } from '../support/leftovers.ts';
import { startService, type Role, type RunningService } from '../support/service.ts';

const KILLS = 20;
const JOBS = 4;
const SEED = 'kills-1';
/** Ends what hangs; each kill waits for a process, which a busy machine starts late. */
const TIMEOUT_MS = 1_200_000;

let service: RunningService;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-kills-'));
  // Short leases, so that a lost worker is noticed soon; enough attempts for every kill to hit the same job.
  service = await startService({ LATHE_LEASE_SECONDS: '2', LATHE_MAX_ATTEMPTS: '40' });
});
afterAll(async () => {
  await service?.remove();
  rmSync(folder, { recursive: true, force: true });
});

test(`every job ends once, whatever is killed (seed ${SEED})`, { timeout: TIMEOUT_MS }, async () => {
  const random = seedrandom(SEED);
  const model = await service.client.upload<{ id: string }>('/v1/models', join(projectRoot, 'examples/digit_cnn.onnx'));
  const dataset = await service.client.upload<{ id: string }>(
    '/v1/datasets',
    await writeMnist(join(folder, 'digits.zip'), 1500, 300),
  );
  const submit = (index: number) =>
    patiently(() =>
      service.client.post<JobView>(
        '/v1/jobs',
        {
          model: model.id,
          dataset: dataset.id,
          seed: index,
          transform: MNIST_TRANSFORM,
          steps: [
            { technique: 'prune-weights', sparsity: 0.5, schedule: 'gradual', epochs: 3 },
            { technique: 'quantize', precision: 'int8', method: 'static' },
          ],
        },
        { headers: { 'idempotency-key': `kill-test-${index}` } },
      ),
    );

  const ids = new Set<string>();
  const submissions = (async () => {
    for (let index = 0; index < JOBS; index++) {
      ids.add((await submit(index)).id);
      await sleep(random() * 2500);
    }
  })();
  const killed = await killAtRandom(random);
  await submissions;
  expect(ids.size).toBe(JOBS);

  for (const id of ids) {
    const job = await waitForEnd(service.client, id);
    expect(job, `${killed.join(', ')}\n${service.logs()}`).toMatchObject({ state: 'succeeded', error: null });
    await expectOneResult(job);
  }
  expect(killed.length).toBe(KILLS);
  expect(new Set(killed).size).toBe(3);
  expect(service.processes('engine')).toEqual([]);
  await eventually(90_000, async () => expect(await leftovers(service.home, service.client)).toEqual([]));
});

/** Each kill waits until the chosen role has a process, and for a random moment of its life. */
async function killAtRandom(random: () => number): Promise<Role[]> {
  const roles: readonly Role[] = ['engine', 'supervisor', 'api'];
  const killed: Role[] = [];
  while (killed.length < KILLS) {
    const role = roles[Math.floor(random() * roles.length)] as Role;
    const pid = await findAlive(role);
    await sleep(200 + random() * 1800);
    if (pid === null || !isAlive(pid)) continue;
    process.kill(pid, 'SIGKILL');
    killed.push(role);
  }
  return killed;
}

/** null: no job process will come, since all jobs have ended. */
async function findAlive(role: Role): Promise<number | null> {
  for (;;) {
    const pid = service.processes(role).find(isAlive);
    if (pid !== undefined) return pid;
    if (role === 'engine' && (await haveAllEnded())) return null;
    await sleep(100);
  }
}

async function haveAllEnded(): Promise<boolean> {
  const { items } = await patiently(() => service.client.get<{ items: JobView[] }>('/v1/jobs'));
  return items.length === JOBS && items.every(({ state }) => isEnded(state));
}

async function expectOneResult(job: JobView): Promise<void> {
  const models = job.artifacts.filter(({ format }) => format === 'onnx');
  expect(models.map(({ step }) => step)).toEqual([0, 1]);
  expect(job.artifacts.filter(({ name }) => name === 'manifest.json')).toHaveLength(1);
  expect(new Set(job.artifacts.map(({ id }) => id)).size).toBe(job.artifacts.length);
  const events = await allEvents(service.client, job.id);
  expect(events.filter(({ type }) => isEnded(type)).map(({ type }) => type)).toEqual(['succeeded']);
  const numbers = events.map(({ id }) => Number(id));
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  expect(new Set(numbers).size).toBe(numbers.length);
  await service.client.get(`/v1/jobs/${job.id}/report`);
}

test('after kill -9 of everything at once the service comes back and goes on', async () => {
  const { items } = await service.client.get<{ items: JobView[] }>('/v1/jobs', { limit: '1' });
  const { id } = await service.client.post<JobView>('/v1/jobs', {
    model: (await service.client.get<{ items: { id: string }[] }>('/v1/models')).items[0]!.id,
    dataset: (await service.client.get<{ items: { id: string }[] }>('/v1/datasets')).items[0]!.id,
    seed: 99,
    transform: MNIST_TRANSFORM,
    steps: [{ technique: 'retrain', epochs: 3 }],
  });
  await eventually(300_000, () => expect(service.processes('engine')).toHaveLength(1));
  await service.kill();
  await service.restart();
  expect(await waitForEnd(service.client, id)).toMatchObject({ state: 'succeeded' });
  expect(await service.client.get<JobView>(`/v1/jobs/${items[0]!.id}`)).toEqual(items[0]);
  await eventually(90_000, async () => expect(await leftovers(service.home, service.client)).toEqual([]));
});
