import { describe, expect, test } from 'vitest';
import { pruningPlan } from './plan.ts';
import type { PruneWeightsParameters } from './spec.ts';

const parameters = (given: Partial<PruneWeightsParameters>): PruneWeightsParameters => ({
  scope: 'global',
  score: 'magnitude',
  schedule: 'one-shot',
  epochs: 1,
  rampFraction: 0.5,
  rounds: 3,
  layers: {},
  ...given,
});
describe('plans', () => {
  const fractions = (given: Partial<PruneWeightsParameters>, steps: number) => {
    const plan = pruningPlan(parameters(given), steps);
    return { reachedAt: plan.reachedAt, at: Array.from({ length: steps }, (_, step) => plan.fractionBefore(step)) };
  };

  test('gradual follows the cubic, never falls back, and reaches the target before the training ends', () => {
    for (const [rampFraction, steps] of [
      [0.5, 100],
      [1, 100],
      [0.5, 1],
      [1, 2],
      [0.75, 1000],
    ] as const) {
      const { at, reachedAt } = fractions({ schedule: 'gradual', sparsity: 0.9, rampFraction }, steps);
      const taken = at.filter((fraction) => fraction !== null);
      expect(taken).toEqual([...taken].sort((a, b) => a - b));
      expect(taken.at(-1)).toBe(1);
      expect(at[reachedAt]).toBe(1);
    }
    // 1 - (1 - 20/40)^3 half-way along a ramp of 40 steps
    expect(fractions({ schedule: 'gradual', sparsity: 0.9, rampFraction: 0.4 }, 100).at[20]).toBeCloseTo(0.875, 10);
  });

  test('iterative takes the same share of what is left in each round', () => {
    const { at, reachedAt } = fractions({ schedule: 'iterative', sparsity: 0.875, rounds: 3 }, 30);
    expect(reachedAt).toBe(20);
    const sparsities = at.filter((fraction) => fraction !== null).map((fraction) => fraction * 0.875);
    [0.5, 0.75, 0.875].forEach((sparsity, round) => expect(sparsities[round]).toBeCloseTo(sparsity, 10));
  });

  test('scores that training sums are collected first', () => {
    const { at, reachedAt } = fractions({ schedule: 'one-shot', sparsity: 0.5, score: 'taylor' }, 50);
    expect(reachedAt).toBe(5);
    expect(at.slice(0, 5).every((fraction) => fraction === null)).toBe(true);
  });
});
