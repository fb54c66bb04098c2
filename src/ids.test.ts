import { expect, test } from 'vitest';
import { isId, newId } from './ids.ts';

test('ids are distinct and sort by when they were made', () => {
  const ids = Array.from({ length: 5000 }, () => newId('job'));
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(ids);
  expect(newId('job', Date.now() + 1000) > (ids.at(-1) as string)).toBe(true);
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
