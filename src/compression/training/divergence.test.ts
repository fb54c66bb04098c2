import { expect, test } from 'vitest';
import { divergenceGuard } from './divergence.ts';

test('the guard tells divergence from noise', () => {
  const place = { epoch: 0, step: 7 };
  const calm = divergenceGuard();
  for (let i = 0; i < 50; i++) calm(i === 20 ? 60 : 0.5 + Math.sin(i) * 0.4, place);
  expect(() => calm(NaN, place)).toThrow(/epoch 1, step 7/);
  const rising = divergenceGuard();
  expect(() => {
    for (let i = 0; i < 30; i++) rising(2 ** i, place);
  }).toThrow(/rose/);
});
