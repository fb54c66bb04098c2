import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { isAlive, startTicks, waitForExit } from './liveness.ts';

const LINUX = existsSync('/proc/self/stat');

test('a process is alive until it ends', async () => {
  const child = spawn('sleep', ['60']);
  const ended = once(child, 'exit');
  expect(isAlive(child.pid!)).toBe(true);
  expect(await waitForExit(child.pid!, 50)).toBe(false);
  child.kill('SIGKILL');
  await ended;
  expect(isAlive(child.pid!)).toBe(false);
  expect(await waitForExit(child.pid!, 0)).toBe(true);
});

test('a process of another user is alive', () => {
  expect(isAlive(1)).toBe(true);
});

test.skipIf(!LINUX)('a zombie is not alive', async () => {
  // The shell's child ends when pipe 3 does, and `exec` puts a program in the shell's place that never reads its exit
  // code.
  const parent = spawn('/bin/sh', ['-c', '(read line <&3) & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
  });
  const [line] = (await once(parent.stdout as Readable, 'data')) as [Buffer];
  const zombie = Number(line.toString());
  expect(isAlive(zombie)).toBe(true);
  (parent.stdio[3] as Writable).end();
  expect(await waitForExit(zombie, 5000)).toBe(true);
  expect(() => process.kill(zombie, 0)).not.toThrow();
  parent.kill('SIGKILL');
});

test.skipIf(!LINUX)('start times tell processes apart', async () => {
  const child = spawn('sleep', ['60']);
  expect(startTicks(process.pid)).toMatch(/^\d+$/);
  expect(Number(startTicks(child.pid!))).toBeGreaterThan(Number(startTicks(process.pid)));
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(startTicks(child.pid!)).toBeNull();
});
