import { beforeAll, describe, expect, test } from 'vitest';
import { makeOptimizer } from '../../training/optimizer.ts';
import { startEngine } from '../../tensor/engine.ts';
import { tf } from '../../tensor/tf.ts';
import type { Parameter } from '../../network/network.ts';
import { seededNormal } from '../../data/random.ts';
import { delayCompensation } from './delay-compensation.ts';
import { delayedNesterov } from './outer-optimizer.ts';
import type { Tensors } from './tensors.ts';
import { optimizerRule, type OptimizerSettings } from './update-rule.ts';

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
});

const one = (...values: number[]): Tensors => new Map([['w', Float32Array.from(values)]]);
const valueOf = (tensors: Tensors): number[] => [...(tensors.get('w') ?? [])];
const alone = { contributions: 1, members: 1 };

const OPTIMIZERS: OptimizerSettings[] = [
  { optimizer: 'sgd', momentum: 0 },
  { optimizer: 'sgd', momentum: 0.9, weightDecay: 0.01 },
  { optimizer: 'sgd', momentum: 0.8, nesterov: true, weightDecay: 0.01 },
  { optimizer: 'adam', weightDecay: 0.02 },
  { optimizer: 'adamw', weightDecay: 0.02 },
];

describe("a server's optimizer does what the engine's does", () => {
  test.each(OPTIMIZERS)('%j', (settings) => {
    const start = draw(1, 0);
    const weights: Tensors = new Map([['w', start.slice()]]);
    const rule = optimizerRule(settings, weights, new Set(['w']));
    const variable = tf.variable(tf.tensor(start, [start.length]));
    const parameter = { name: 'w', variable, decays: true } as unknown as Parameter;
    const optimizer = makeOptimizer(settings.optimizer ?? 'adam', settings, [parameter]);
    for (let step = 0; step < 20; step++) {
      const gradient = draw(2, step);
      const learningRate = 0.05 / (step + 1);
      rule.apply(weights, new Map([['w', gradient]]), { step, learningRate, ...alone });
      tf.tidy(() => {
        const scalars = optimizer.scalars(step, learningRate).map((value) => tf.scalar(value));
        variable.assign(optimizer.update(parameter, tf.tensor1d(gradient), scalars));
      });
    }
    const expected = variable.dataSync();
    valueOf(weights).forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-6));
  });
});

test('momentum, by hand', () => {
  const weights = one(1);
  const rule = optimizerRule({ optimizer: 'sgd', momentum: 0.5 }, weights);
  // v: 1, 0.5 + 2 = 2.5; w: 1 - 0.1 * 1 = 0.9, 0.9 - 0.1 * 2.5 = 0.65
  rule.apply(weights, one(1), { step: 0, learningRate: 0.1, ...alone });
  rule.apply(weights, one(2), { step: 1, learningRate: 0.1, ...alone });
  expect(valueOf(weights)[0]).toBeCloseTo(0.65, 6);
});

test('all changes in one update: the Nesterov momentum of DiLoCo', () => {
  const weights = one(0);
  const rule = delayedNesterov(weights);
  // PyTorch's SGD(lr=0.7, momentum=0.9, nesterov=True): v = 1, step 1 + 0.9; then v = 2.9, step 2 + 0.9 * 2.9
  rule.apply(weights, one(1), { step: 0, learningRate: 0, contributions: 4, members: 4 });
  expect(valueOf(weights)[0]).toBeCloseTo(-0.7 * 1.9, 6);
  rule.apply(weights, one(2), { step: 1, learningRate: 0, contributions: 4, members: 4 });
  expect(valueOf(weights)[0]).toBeCloseTo(-0.7 * 1.9 - 0.7 * (2 + 0.9 * 2.9), 5);
});

test('one change at a time: applied at once as its share, the momentum once all have come', () => {
  const weights = one(0);
  const rule = delayedNesterov(weights);
  const settings = { step: 0, learningRate: 0, contributions: 1, members: 2 };
  rule.apply(weights, one(1), settings);
  expect(valueOf(weights)[0]).toBeCloseTo(-0.7 * 0.5, 6);
  // m = (1 + 3) / 2 = 2
  rule.apply(weights, one(3), settings);
  expect(valueOf(weights)[0]).toBeCloseTo(-0.7 * (0.5 + 1.5 + 0.9 * 2), 6);
  rule.apply(weights, one(4), settings);
  expect(valueOf(weights)[0]).toBeCloseTo(-0.7 * (3.8 + 2), 6);
  // m = 0.9 * 2 + (4 + 0) / 2 = 3.8
  rule.apply(weights, one(0), settings);
  expect(valueOf(weights)[0]).toBeCloseTo(-0.7 * (5.8 + 0.9 * 3.8), 6);
});

test('delay compensation, by hand', () => {
  const compensate = delayCompensation(one(0, 0), { lambda: 2, memory: 0.5 });
  // mean square 0.5 * 9 = 4.5 and 0.5; lambda = 2 / sqrt(mean square + 1e-7)
  const first = valueOf(compensate(one(3, 1), one(1.5, 1), one(1, 1)));
  expect(first[0]).toBeCloseTo(3 + (2 / Math.sqrt(4.5 + 1e-7)) * 9 * 0.5, 5);
  expect(first[1]).toBe(1); // the weight has not moved
  const second = valueOf(compensate(one(2, 0), one(0, 0), one(1, 1)));
  expect(second[0]).toBeCloseTo(2 - (2 / Math.sqrt(0.5 * 4.5 + 0.5 * 4 + 1e-7)) * 4, 5);
  expect(second[1]).toBe(0);
});

test('compensation brings the late gradient nearer to that on time', () => {
  // loss = log(cosh(w - 1)): gradient tanh(w - 1); pulled at 2, now at 1.6
  const late = Math.tanh(1);
  const onTime = Math.tanh(0.6);
  const [corrected = NaN] = valueOf(delayCompensation(one(0), { lambda: 0.5, memory: 0 })(one(late), one(1.6), one(2)));
  expect(Math.abs(corrected - onTime)).toBeLessThan(Math.abs(late - onTime));
});

function draw(...streams: number[]): Float32Array {
  const normal = seededNormal(7, ...streams);
  return Float32Array.from({ length: 50 }, normal);
}
