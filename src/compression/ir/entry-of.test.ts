import { expect, test } from 'vitest';
import { entryOf } from './entry-of.ts';

test('gives the value of a key, and names one that is missing', () => {
  const sizes = new Map([['w', 0]]);
  expect(entryOf(sizes, 'w', 'size of weight')).toBe(0);
  expect(() => entryOf(sizes, 'v', 'size of weight')).toThrow('size of weight "v" does not exist');
});
