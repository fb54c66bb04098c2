import { describe, expect, test } from 'vitest';
import { tensor } from '../../../test/support/graphs.ts';
import { seededNormal } from '../data/random.ts';
import { hostNumbers, toHost } from '../ir/tensor-data.ts';
import { groupMask, lowestMasks, magnitudes, maskedWeight, thresholdMask } from './masks.ts';

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

describe('thresholdMask', () => {
  test('closes what is below the threshold, not what is on it, and what is gone already', () => {
    const scores = Float32Array.of(0.5, 1, 2, -Infinity, 0);
    expect([...thresholdMask({ scores }, 1)]).toEqual([0, 1, 1, 0, 0]);
    expect([...thresholdMask({ scores }, 0)]).toEqual([1, 1, 1, 0, 1]);
  });
});

describe('maskedWeight', () => {
  const weight = tensor('w', [2, 2], [1, -2, 0, 4]);

  test('has zeros where the mask is closed, in the same type and shape', () => {
    const masked = maskedWeight(weight, Float32Array.of(0, 1, 0, 1))!;
    expect(masked).toMatchObject({ name: 'w', dtype: 'float32', dims: [2, 2] });
    expect(hostNumbers(toHost(masked))).toEqual([0, -2, 0, 4]);
    expect(hostNumbers(toHost(weight))).toEqual([1, -2, 0, 4]);
  });

  test('is null where only zeros are closed', () => {
    expect(maskedWeight(weight, Float32Array.of(1, 1, 0, 1))).toBeNull();
  });

  test('the smallest magnitudes go, whatever their sign', () => {
    const [mask] = lowestMasks([{ scores: magnitudes([1, -0.5, 0.25, -4]) }], 2);
    expect([...mask!]).toEqual([1, 0, 0, 1]);
  });
});
