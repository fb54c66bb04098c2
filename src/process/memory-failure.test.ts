/** The messages are those that the runtime really gives. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { isExpansionFailure, isMemoryFailure } from './memory-failure.ts';

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return String(error);
  }
  throw new Error('nothing was thrown');
}

test('an ArrayBuffer that the machine cannot hold is a lack of memory', () => {
  expect(isMemoryFailure(messageOf(() => new ArrayBuffer(2 ** 52)))).toBe(true);
});

test("V8's full heap is a lack of memory", () => {
  const { stderr } = spawnSync(
    process.execPath,
    ['--max-old-space-size=32', '-e', 'const kept = []; for (;;) kept.push(new Array(1e5).fill({}).map(() => ({})))'],
    { encoding: 'utf8' },
  );
  expect(isMemoryFailure(stderr)).toBe(true);
});

test.each([
  "terminate called after throwing an instance of 'std::bad_alloc'",
  'OOM when allocating tensor with shape[100000,100000]',
  'RESOURCE_EXHAUSTED: failed to allocate',
  'fork: Cannot allocate memory',
  'Error: spawn ENOMEM',
])('%s', (message) => {
  expect(isMemoryFailure(message)).toBe(true);
  expect(isExpansionFailure(message)).toBe(true);
});

test('a length that no array can have says that a file expands, not that memory ran out', () => {
  for (const work of [() => new Array(-1), () => new Float32Array(2 ** 53)]) {
    expect(isExpansionFailure(messageOf(work))).toBe(true);
    expect(isMemoryFailure(messageOf(work))).toBe(false);
  }
});

test.each(['shapes [2, 3] and [4] do not fit', 'Cannot read properties of undefined', ''])(
  'no lack of memory: "%s"',
  (message) => {
    expect(isExpansionFailure(message)).toBe(false);
  },
);
