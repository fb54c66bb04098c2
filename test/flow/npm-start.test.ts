/** `npm start` as a supervisor of services or a terminal drives it: the signal reaches npm, not Lathe. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isAlive } from '../../src/process/liveness.ts';
import { eventually } from '../support/leftovers.ts';
import { startService, type RunningService } from '../support/service.ts';

const NPM = ['npm', 'start'];
const children = (service: RunningService) => (['api', 'supervisor'] as const).flatMap(service.processes);

test('SIGTERM to npm stops everything in order', async () => {
  const service = await startService({}, NPM);
  const pids = children(service);
  expect(pids).toHaveLength(2);
  expect(await service.stop()).toBe(0);
  expect(pids.filter(isAlive)).toEqual([]);
  await service.remove();
});

test('when npm is killed, everything it started ends', async () => {
  const service = await startService({}, NPM);
  const pids = children(service);
  for (const npm of service.processes('launcher')) process.kill(npm, 'SIGKILL');
  await eventually(15_000, async () => expect(pids.filter(isAlive)).toEqual([]));
  await eventually(15_000, async () => expect(existsSync(join(service.home, 'launcher.pid'))).toBe(false));
  await service.restart(); // the folder's lock and the database are free again
  expect(await service.stop()).toBe(0);
  await service.remove();
});
