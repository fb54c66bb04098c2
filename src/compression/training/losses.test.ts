import { beforeAll, describe, expect, test } from 'vitest';
import { startEngine } from '../tensor/engine.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';
import {
  absoluteError,
  binaryCrossEntropy,
  binaryKlDivergence,
  crossEntropy,
  klDivergence,
  logitsOfBernoulli,
  logitsOfProbabilities,
  squaredError,
} from './losses.ts';

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
});

const rows = (values: number[][]) => tf.tensor2d(values);
const numbers = (compute: () => TfTensor) => [...tf.tidy(compute).dataSync()];
const near = (actual: readonly number[], expected: readonly number[], digits = 5) =>
  expected.forEach((item, i) => expect(actual[i]).toBeCloseTo(item, digits));

describe('losses', () => {
  // References: the definitions in float64.
  test('cross-entropy and KL, also where softmax would underflow', () => {
    near(
      numbers(() =>
        crossEntropy(
          rows([
            [1, 2, 3],
            [1000, 0, 0],
          ]),
          rows([
            [0, 0, 1],
            [0, 1, 0],
          ]),
        ),
      ),
      [Math.log(1 + Math.exp(-1) + Math.exp(-2)), 1000],
      3,
    );
    const [p, q] = [
      [0.2, 0.8],
      [0.5, 0.5],
    ];
    const expected = p.reduce((sum, share, i) => sum + share * Math.log(share / q[i]!), 0);
    near(
      numbers(() => klDivergence(tf.log(rows([q])), rows([p]))),
      [expected],
    );
    near(
      numbers(() => klDivergence(tf.log(rows([p])), rows([p]))),
      [0],
    );
  });

  test('binary cross-entropy of logits is finite at both ends', () => {
    near(
      numbers(() =>
        binaryCrossEntropy(
          rows([
            [0, 0],
            [200, -200],
            [-200, 200],
          ]),
          rows([
            [1, 0],
            [1, 0],
            [1, 0],
          ]),
        ),
      ),
      [Math.log(2), 0, 200],
      3,
    );
    near(
      numbers(() => binaryKlDivergence(rows([[0]]), rows([[0.9]]))),
      [0.9 * Math.log(0.9 / 0.5) + 0.1 * Math.log(0.1 / 0.5)],
    );
  });

  test('probabilities become the logits that give them', () => {
    near(
      numbers(() => tf.softmax(logitsOfProbabilities(rows([[0.1, 0.2, 0.7]])))),
      [0.1, 0.2, 0.7],
    );
    near(
      numbers(() => tf.sigmoid(logitsOfBernoulli(rows([[0.25, 1, 0]])))),
      [0.25, 1, 0],
    );
  });

  test('the squared error is a mean over all but the samples', () => {
    near(
      numbers(() =>
        squaredError(
          tf.tensor3d([
            [[1], [3]],
            [[0], [0]],
          ]),
          tf.tensor3d([
            [[0], [0]],
            [[0], [2]],
          ]),
        ),
      ),
      [5, 2],
    );
  });
});

test('the absolute error is a mean over all but the samples', () => {
  near(
    numbers(() =>
      absoluteError(
        rows([
          [1, -3],
          [0, 0],
        ]),
        rows([
          [0, 0],
          [0, -2],
        ]),
      ),
    ),
    [2, 1],
  );
});

/** Central differences in float64 of the definitions, against the engine's gradients in float32. */
describe('gradients with respect to the logits', () => {
  const softmaxLoss = (z: number[], y: number[]) => {
    const norm = Math.log(z.reduce((sum, each) => sum + Math.exp(each), 0));
    return z.reduce((sum, each, i) => sum + y[i]! * (norm - each), 0);
  };
  const sigmoidLoss = (z: number[], y: number[]) =>
    z.reduce((sum, each, i) => sum + Math.log1p(Math.exp(each)) - y[i]! * each, 0) / z.length;

  test.each([
    ['cross-entropy', crossEntropy, softmaxLoss, [0.2, 0.5, 0.3]],
    ['KL', klDivergence, softmaxLoss, [0.2, 0.5, 0.3]],
    ['binary cross-entropy', binaryCrossEntropy, sigmoidLoss, [1, 0, 0.25]],
    ['binary KL', binaryKlDivergence, sigmoidLoss, [0.9, 0.2, 0.25]],
  ] as const)('%s', (_name, loss, definition, target) => {
    const logits = [0.7, -1.2, 2.1];
    const expected = logits.map((_, i) => {
      const moved = (by: number) => logits.map((each, k) => (k === i ? each + by : each));
      return (definition(moved(1e-5), [...target]) - definition(moved(-1e-5), [...target])) / 2e-5;
    });
    const gradient = tf.grad((z) => tf.sum(loss(z, rows([[...target]]))));
    near(
      numbers(() => gradient(rows([logits]))),
      expected,
      5,
    );
  });
});
