import { beforeAll, describe, expect, test } from 'vitest';
import { makeNode } from '../../../src/compression/ir/edit.ts';
import type { Node } from '../../../src/compression/ir/types.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { tf, type TfTensor } from '../../../src/compression/tensor/tf.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../../src/compression/training/checkpoint.ts';
import { divergenceGuard } from '../../../src/compression/training/divergence.ts';
import { findHead } from '../../../src/compression/training/head.ts';
import {
  binaryCrossEntropy,
  binaryKlDivergence,
  crossEntropy,
  klDivergence,
  logitsOfBernoulli,
  logitsOfProbabilities,
  squaredError,
} from '../../../src/compression/training/losses.ts';
import { clipByGlobalNorm } from '../../../src/compression/training/optimizer.ts';
import { learningRateSchedule } from '../../../src/compression/training/schedule.ts';
import { modelOf, value } from '../../support/graphs.ts';

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

describe('findHead', () => {
  const headOf = (nodes: readonly Node[], opset = 17) =>
    findHead(modelOf({ nodes, inputs: [value('x', ['n', 3])], outputs: [value('y', ['n', 3])], opset }), 'y');

  test.each([
    ['Softmax', [makeNode('Softmax', ['x'], ['y'])], 'softmax', 'x'],
    [
      'behind shape-only nodes',
      [makeNode('Softmax', ['x'], ['s']), makeNode('Identity', ['s'], ['i']), makeNode('Flatten', ['i'], ['y'])],
      'softmax',
      'x',
    ],
    ['Log of Softmax', [makeNode('Softmax', ['x'], ['s']), makeNode('Log', ['s'], ['y'])], 'log-softmax', 'x'],
    ['Sigmoid', [makeNode('Relu', ['x'], ['r']), makeNode('Sigmoid', ['r'], ['y'])], 'sigmoid', 'r'],
    ['none', [makeNode('Relu', ['x'], ['y'])], 'none', 'y'],
  ] as const)('%s', (_name, nodes, activation, scores) => {
    expect(headOf(nodes)).toMatchObject({ activation, scores });
  });

  test('a Softmax of opset 11 that flattens several axes is none to take logits from', () => {
    const model = modelOf({
      nodes: [makeNode('Softmax', ['x'], ['y'], { axis: 1 })],
      inputs: [value('x', ['n', 3, 4])],
      outputs: [value('y', ['n', 3, 4])],
      opset: 11,
    });
    expect(findHead(model, 'y').activation).toBe('none');
    expect(headOf([makeNode('Softmax', ['x'], ['y'], { axis: 1 })], 11).activation).toBe('softmax');
  });
});

describe('learning rates', () => {
  const rates = (settings: Partial<Parameters<typeof learningRateSchedule>[0]>) =>
    learningRateSchedule({ learningRate: 0.1, schedule: undefined, stepsPerEpoch: 100, epochs: 2, ...settings });

  test('by default: up from little within 5 %, down to nearly nothing', () => {
    const rate = rates({});
    expect(rate(0)).toBeLessThan(0.02);
    expect(rate(10)).toBeCloseTo(0.1, 6);
    expect(rate(105)).toBeCloseTo(0.05, 6);
    expect(rate(199)).toBeLessThan(1e-4);
  });

  test('step, constant with warm-up, and several cycles', () => {
    const step = rates({ schedule: { kind: 'step', factor: 0.5, stepEpochs: 1 } });
    near([step(99), step(100), step(199)], [0.1, 0.05, 0.05], 10);
    const constant = rates({ schedule: { kind: 'constant', warmupSteps: 4 } });
    near([constant(0), constant(3), constant(4), constant(150)], [0.02, 0.08, 0.1, 0.1], 10);
    const cycles = rates({ cycles: 2 });
    expect(cycles(100)).toBe(cycles(0));
  });
});

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

test('checkpoints keep every value; those of another version are refused', () => {
  const checkpoint = {
    epoch: 2,
    step: 31,
    history: [{ loss: 0.5 }],
    bestMetrics: { loss: 0.25 },
    bestStep: 20,
    current: new Map([
      ['value w1', { shape: [1, 3], data: Float32Array.of(1.5, -0, 3e-40) }],
      ['mean w1', { shape: [0], data: new Float32Array(0) }],
      ['value s', { shape: [], data: Float32Array.of(7) }],
    ]),
    best: new Map([['value w1', { shape: [1], data: Float32Array.of(Math.PI) }]]),
  };
  const bytes = encodeCheckpoint(checkpoint);
  // A view that does not start at a multiple of four bytes, as files and slices give.
  const shifted = new Uint8Array([0, ...bytes]).subarray(1);
  expect(decodeCheckpoint(shifted)).toEqual(checkpoint);
  const other = Buffer.from(bytes.slice());
  other.write(other.toString('latin1').replace('"version":2', '"version":1'), 'latin1');
  expect(decodeCheckpoint(other)).toBeNull();
});
