import { beforeAll, expect, test } from 'vitest';
import { startEngine } from '../tensor/engine.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';
import { clipByGlobalNorm } from './optimizer.ts';

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
});

const numbers = (compute: () => TfTensor) => [...tf.tidy(compute).dataSync()];
const near = (actual: readonly number[], expected: readonly number[], digits = 5) =>
  expected.forEach((item, i) => expect(actual[i]).toBeCloseTo(item, digits));

test('gradients are scaled to the common norm, smaller ones left alone', () => {
  near(
    numbers(() => tf.concat(clipByGlobalNorm([tf.tensor1d([3]), tf.tensor1d([0, 4])], 1))),
    [0.6, 0, 0.8],
  );
  near(
    numbers(() => tf.concat(clipByGlobalNorm([tf.tensor1d([3]), tf.tensor1d([0, 4])], 10))),
    [3, 0, 4],
  );
});
