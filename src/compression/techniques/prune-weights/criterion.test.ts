import { describe, expect, test } from 'vitest';
import { makeCriterion } from './criterion.ts';
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
const closed = (mask: Float32Array) => mask.filter((open) => open === 0).length;

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

  test('a pattern closes M - N of every M along the axis, the smallest', () => {
    const [first, second] = makeCriterion(parameters({ pattern: '1:2' }), weights)(layers, 1);
    expect([...first!]).toEqual([0, 1, 0, 1]);
    expect([...second!]).toEqual([0, 1, 0, 1]);
  });

  test('part of the way is part of the weights, of the threshold, or of the pattern', () => {
    const half = (given: Partial<PruneWeightsParameters>) => makeCriterion(parameters(given), weights)(layers, 0.5);
    expect(half({ sparsity: 0.5 }).map(closed)).toEqual([2, 0]);
    expect(half({ threshold: { absolute: 30 } }).map(closed)).toEqual([4, 1]);
    expect(half({ pattern: '1:4' }).map(closed)).toEqual([2, 2]); // 1.5 of 3, rounded
  });

  test('part of the way starts from the zeros that are there', () => {
    const sparse = [Float32Array.of(0, 0, 3, 4, 5, 6, 7, 8)];
    const scores = [{ scores: sparse[0]!.map(Math.abs), dims: [8], axis: 0 }];
    const criterion = makeCriterion(parameters({ sparsity: 0.75 }), sparse);
    expect([0, 0.5, 1].map((fraction) => closed(criterion(scores, fraction)[0]!))).toEqual([2, 4, 6]);
  });
});
