import { describe, expect, test } from 'vitest';
import { seededNormal } from '../../../src/compression/data/random.ts';
import { makeCriterion } from '../../../src/compression/techniques/prune-weights/criterion.ts';
import { pruningPlan } from '../../../src/compression/techniques/prune-weights/plan.ts';
import { groupMask, lowestMasks } from '../../../src/compression/weights/masks.ts';
import type { PruneWeightsParameters } from '../../../src/compression/techniques/prune-weights/spec.ts';

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
const closed = (mask: Float32Array) => mask.filter((open) => open === 0).length;

describe('lowestMasks', () => {
  test('closes what sorting would, over all layers together, negative scores included', () => {
    const normal = seededNormal(4);
    const layers = [1000, 7, 300].map((length) => ({ scores: Float32Array.from({ length }, normal) }));
    for (const count of [0, 1, 654, 1306, 1307]) {
      const limit = layers.flatMap(({ scores }) => [...scores]).sort((a, b) => a - b)[count] ?? Infinity;
      const masks = lowestMasks(layers, count);
      layers.forEach(({ scores }, i) => scores.forEach((score, k) => expect(masks[i]![k]).toBe(score < limit ? 0 : 1)));
    }
  });

  test('of equal scores it closes exactly as many as asked for', () => {
    const [mask] = lowestMasks([{ scores: Float32Array.of(1, 0, 1, 0, 1, -Infinity) }], 4);
    expect([...mask!]).toEqual([0, 0, 1, 0, 1, 0]);
  });
});

describe('groupMask', () => {
  test('2:4 along the middle axis; the rest that fills no group stays', () => {
    // [1, 5, 2]: five input channels, two columns.
    const scores = Float32Array.of(1, 8, 2, 7, 3, 6, 4, 5, 0, 0);
    const mask = groupMask({ scores, dims: [1, 5, 2], axis: 1 }, 4, 2);
    expect([...mask]).toEqual([0, 1, 0, 1, 1, 0, 1, 0, 1, 1]);
  });
});

describe('criteria', () => {
  const weights = [Float32Array.of(1, -2, 3, -4), Float32Array.of(10, 20, -30, 40)];
  const layers = weights.map((values) => ({ scores: values.map(Math.abs), dims: [4], axis: 0 }));

  test('sparsity: global takes the smallest wherever they are, layer takes the share of each', () => {
    expect(makeCriterion(parameters({ sparsity: 0.5 }), weights)(layers, 1).map(closed)).toEqual([4, 0]);
    expect(makeCriterion(parameters({ sparsity: 0.5, scope: 'layer' }), weights)(layers, 1).map(closed)).toEqual([
      2, 2,
    ]);
  });

  test('sparsity counts zeros that are there: pruning to less changes nothing', () => {
    const sparse = [Float32Array.of(0, 0, 0, 5)];
    const masks = makeCriterion(parameters({ sparsity: 0.5 }), sparse)(
      [{ scores: sparse[0]!.map(Math.abs), dims: [4], axis: 0 }],
      1,
    );
    expect([...masks[0]!]).toEqual([0, 0, 0, 1]);
  });

  test('thresholds: absolute, and in standard deviations of the layer', () => {
    expect(makeCriterion(parameters({ threshold: { absolute: 3 } }), weights)(layers, 1).map(closed)).toEqual([2, 0]);
    // Population standard deviations: 2.69 and 25.5.
    expect(makeCriterion(parameters({ threshold: { sigma: 1 } }), weights)(layers, 1).map(closed)).toEqual([2, 2]);
  });
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
