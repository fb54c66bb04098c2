import { afterEach, expect, test, vi } from 'vitest';
import { isId, newId } from './ids.ts';

afterEach(() => vi.useRealTimers());

test('ids are distinct and sort by when they were made', () => {
  const ids = Array.from({ length: 5000 }, () => newId('job'));
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(ids);
  vi.setSystemTime(Date.now() + 1000);
  expect(newId('job') > (ids.at(-1) as string)).toBe(true);
});

test('ids stay in order where the clock goes back a little', () => {
  vi.setSystemTime(Date.now() + 3_600_000);
  const before = newId('job');
  vi.setSystemTime(Date.now() - 9_000);
  expect(newId('job') > before).toBe(true);
});

test('an id says what it names', () => {
  expect(isId('model', newId('model'))).toBe(true);
  expect(isId('model', newId('job'))).toBe(false);
  for (const text of [
    '',
    'mdl_',
    'mdl_1',
    `${newId('model')}x`,
    newId('model').toUpperCase(),
    "mdl_'; DROP TABLE models; --",
    'mdl_\0',
  ])
    expect(isId('model', text)).toBe(false);
});
