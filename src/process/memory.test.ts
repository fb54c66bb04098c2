import { existsSync } from 'node:fs';
import { totalmem } from 'node:os';
import { expect, test } from 'vitest';
import { availableMemoryBytes, memoryBytes } from './memory.ts';

const LINUX = existsSync('/proc/self/status');

test.skipIf(!LINUX)("a process's memory grows with what it holds", () => {
  const before = { resident: memoryBytes(process.pid, 'VmRSS'), data: memoryBytes(process.pid, 'VmData') };
  const held = new Uint8Array(128 * 2 ** 20).fill(1);
  expect(memoryBytes(process.pid, 'VmRSS') - before.resident).toBeGreaterThan(0.9 * held.length);
  expect(memoryBytes(process.pid, 'VmData') - before.data).toBeGreaterThan(0.9 * held.length);
  expect(Math.abs(memoryBytes(process.pid, 'VmRSS') - process.memoryUsage.rss())).toBeLessThan(64 * 2 ** 20);
});

test('nothing is known of a process that is not there', () => {
  expect(memoryBytes(2 ** 30, 'VmRSS')).toBe(0);
});

test('no more than the machine has may be used', () => {
  expect(availableMemoryBytes()).toBeGreaterThan(0);
  expect(availableMemoryBytes()).toBeLessThanOrEqual(totalmem());
});
