import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTicks } from './liveness.ts';
import { tryLock } from './pid-lock.mjs';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-lock-'));
  path = join(folder, 'x.lock');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('is held until it is released, and leaves nothing behind', () => {
  const first = tryLock(path);
  expect(tryLock(path)).toMatchObject({ taken: false, holder: { pid: process.pid } });
  if (!first.taken) throw new Error('a free lock was not taken');
  first.release();
  expect(readdirSync(folder)).toEqual([]);
  expect(tryLock(path).taken).toBe(true);
});

test('a killed holder does not keep it', async () => {
  const holder = spawn('sleep', ['60']);
  writeFileSync(path, JSON.stringify({ pid: holder.pid, startTicks: startTicks(holder.pid!) }));
  expect(tryLock(path)).toMatchObject({ taken: false, holder: { pid: holder.pid } });
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  expect(tryLock(path).taken).toBe(true);
});

test.skipIf(startTicks(process.pid) === null)('a later process with the same id is not the holder', () => {
  writeFileSync(path, JSON.stringify({ pid: process.pid, startTicks: '1' }));
  expect(tryLock(path).taken).toBe(true);
});

test("an earlier release's lock, which holds the process id alone, counts", () => {
  writeFileSync(path, String(process.ppid));
  expect(tryLock(path)).toMatchObject({ taken: false, holder: { pid: process.ppid } });
});

test('a lock that was never written whole is no lock', () => {
  writeFileSync(path, '{"pid":');
  expect(tryLock(path).taken).toBe(true);
});

test('only its holder releases it', () => {
  const lock = tryLock(path);
  writeFileSync(path, JSON.stringify({ pid: process.ppid, startTicks: startTicks(process.ppid) }));
  if (lock.taken) lock.release();
  expect(tryLock(path)).toMatchObject({ taken: false, holder: { pid: process.ppid } });
});
