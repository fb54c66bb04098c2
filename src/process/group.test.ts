/** Groups of real processes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { endGroup, signalGroup } from './group.ts';
import { waitForExit } from './liveness.ts';

interface Family {
  readonly leader: ChildProcess;
  readonly grandchild: number;
  readonly ended: Promise<unknown>;
}

/** A shell that leads a group, and a child of it; both obey SIGTERM or, with `trap`, ignore it. */
async function family(trap: string): Promise<Family> {
  const leader = spawn('/bin/sh', ['-c', `${trap} sleep 60 & echo $!; while :; do wait; done`], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = (await once(leader.stdout, 'data')) as [Buffer];
  return { leader, grandchild: Number(line.toString()), ended: once(leader, 'exit') };
}

test('a signal reaches the processes that the leader started', async () => {
  const { leader, grandchild, ended } = await family('');
  signalGroup(leader.pid, 'SIGKILL');
  await ended;
  expect(leader.signalCode).toBe('SIGKILL');
  expect(await waitForExit(grandchild, 2000)).toBe(true);
});

test('a group that is gone, or was never there, is no error', async () => {
  const { leader, ended } = await family('');
  signalGroup(leader.pid, 'SIGKILL');
  await ended;
  expect(() => signalGroup(leader.pid, 'SIGKILL')).not.toThrow();
  expect(() => signalGroup(undefined, 'SIGKILL')).not.toThrow();
});

test('a group that obeys ends before the grace is over', async () => {
  const { leader, grandchild, ended } = await family('');
  const started = performance.now();
  await endGroup(leader.pid, ended, 30_000);
  expect(performance.now() - started).toBeLessThan(10_000);
  expect(leader.signalCode).toBe('SIGTERM');
  expect(await waitForExit(grandchild, 2000)).toBe(true);
});

test('a group that ignores SIGTERM is killed after the grace', async () => {
  const { leader, grandchild, ended } = await family("trap '' TERM;");
  await endGroup(leader.pid, ended, 200);
  expect(leader.signalCode).toBe('SIGKILL');
  expect(await waitForExit(grandchild, 2000)).toBe(true);
});
