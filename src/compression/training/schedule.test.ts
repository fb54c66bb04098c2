import { describe, expect, test } from 'vitest';
import { learningRateSchedule } from './schedule.ts';

const near = (actual: readonly number[], expected: readonly number[], digits = 5) =>
  expected.forEach((item, i) => expect(actual[i]).toBeCloseTo(item, digits));

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

  test('a warm-up rises evenly to the rate; the cosine then falls from it to zero', () => {
    const rate = rates({ schedule: { kind: 'cosine', warmupSteps: 40 } });
    near(
      [0, 19, 39].map((step) => rate(step)),
      [1, 20, 40].map((step) => (0.1 * step) / 41),
      10,
    );
    near([rate(40), rate(120), rate(199)], [0.1, 0.05, 0.05 * (1 + Math.cos((Math.PI * 159) / 160))], 10);
  });

  test('the warm-up that is not asked for is a twentieth of the training, and 200 steps at most', () => {
    const peak = (epochs: number) => {
      const rate = rates({ epochs });
      const all = Array.from({ length: epochs * 100 }, (_, step) => rate(step));
      return all.indexOf(Math.max(...all));
    };
    expect([1, 20, 100].map(peak)).toEqual([5, 100, 200]);
  });

  test('a training of no steps has a rate too', () => {
    expect(rates({ epochs: 0 })(0)).toBeGreaterThan(0);
  });
});
