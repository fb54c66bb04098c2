/**
 * The engine's LSTM kernels: sizes that leave a rest in every loop, against the equations in double precision and
 * finite differences.
 */
import { beforeAll, expect, test } from 'vitest';
import { filled, gradientErrors, maxDifference } from '../../../../test/support/numeric-checks.ts';
import { startEngine } from '../../tensor/engine.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';
import { lstmSequence } from './lstm-gradient.ts';

beforeAll(async () => {
  await startEngine('tensorflow');
});

test.each([
  [5, 19, 37],
  [3, 1, 16],
  [1, 2, 5],
  [20, 65, 8],
])('%d steps of %d samples with %d units', (steps, batch, hidden) =>
  tf.tidy(() => {
    const inputs = [
      tf.mul(filled([steps, batch, 4 * hidden], 3), 4),
      filled([4 * hidden, hidden], 5),
      filled([batch, hidden], 7),
      filled([batch, hidden], 9),
    ] as const;
    const actual = lstmSequence(...inputs);
    expect(actual.shape).toEqual([steps + 1, batch, hidden]);
    // one rounding of each gate, and sums of `hidden` products
    expect(maxDifference(actual, direct(...inputs))).toBeLessThan(2e-6);
    const errors = gradientErrors(
      (x, r, h, c) => lstmSequence(x, r, h, c),
      [inputs[0], tf.mul(inputs[1], 0.3), inputs[2], inputs[3]],
      1e-2,
    );
    expect(Math.max(...errors)).toBeLessThan(3e-3); // truncation of the difference at a step of 0.01
  }),
);

test('gates far from zero saturate', () =>
  tf.tidy(() => {
    const x = tf.tensor([1e4, 1e4, -1e4, 1e4, -1e4, 1e4, 1e4, 30], [2, 1, 4]);
    const y = lstmSequence(x, tf.zeros([4, 1]), tf.zeros([1, 1]), tf.fill([1, 1], 5));
    expect(maxDifference(y, [Math.tanh(1), Math.tanh(1), 1])).toBeLessThan(1e-6);
  }));

/** Hidden states of all steps, then the last cell state; gates i, o, f, c. */
function direct(...tensors: readonly [TfTensor, TfTensor, TfTensor, TfTensor]): number[] {
  const [x, r] = tensors.map((tensor) => tensor.dataSync()) as [Float32Array, Float32Array];
  const [steps, batch] = tensors[0].shape as [number, number];
  const hidden = tensors[1].shape[1]!;
  let [h, c] = tensors.slice(2).map((tensor) => [...tensor.dataSync()]) as [number[], number[]];
  const all: number[] = [];
  const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));
  for (let t = 0; t < steps; t++) {
    const gate = (which: number, b: number, j: number): number => {
      const row = which * hidden + j;
      return h
        .slice(b * hidden, (b + 1) * hidden)
        .reduce((sum, value, k) => sum + value * r[row * hidden + k]!, x[(t * batch + b) * 4 * hidden + row]!);
    };
    const cells = c.map((cell, at) => {
      const [b, j] = [Math.floor(at / hidden), at % hidden];
      return sigmoid(gate(2, b, j)) * cell + sigmoid(gate(0, b, j)) * Math.tanh(gate(3, b, j));
    });
    h = cells.map((cell, at) => sigmoid(gate(1, Math.floor(at / hidden), at % hidden)) * Math.tanh(cell));
    c = cells;
    all.push(...h);
  }
  return [...all, ...c];
}
