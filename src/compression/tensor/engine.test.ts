import { beforeAll, expect, test } from 'vitest';
import { engine, startEngine } from './engine.ts';
import * as nn from './nn.ts';
import { tf } from './tf.ts';

beforeAll(async () => {
  await startEngine('wasm');
});

test('the WASM engine names itself and computes', () => {
  expect(engine()).toMatchObject({ name: 'wasm', native: false });
  const y = nn.conv(tf.ones([1, 4, 4, 2]), tf.ones([3, 3, 2, 1]), { pads: [1, 1, 1, 1] });
  expect(Array.from(y.dataSync()).slice(0, 6)).toEqual([8, 12, 12, 8, 12, 18]);
});
