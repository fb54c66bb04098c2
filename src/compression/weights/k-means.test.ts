import { describe, expect, it } from 'vitest';
import { seededNormal, seededRandom } from '../data/random.ts';
import { kMeans, type Initialization } from './k-means.ts';

const INITS: readonly Initialization[] = ['linear', 'density', 'random'];

function normalValues(count: number, seed: number): Float32Array {
  const normal = seededNormal(seed);
  return Float32Array.from({ length: count }, normal);
}

const nearest = (value: number, centres: ArrayLike<number>): number =>
  Array.from(centres).reduce(
    (best, centre, i) => (Math.abs(centre - value) < Math.abs(centres[best]! - value) ? i : best),
    0,
  );
const squaredError = (values: ArrayLike<number>, centres: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, value) => sum + (value - centres[nearest(value, centres)]!) ** 2, 0);

/**
 * The least squared error of k clusters, by dynamic programming over where each begins (Wang & Song 2011, R Journal
 * 3(2)).
 */
function leastError(values: ArrayLike<number>, k: number): number {
  const sorted = Array.from(values).sort((a, b) => a - b);
  const costOf = (from: number, to: number): number => {
    const mean = sorted.slice(from, to).reduce((a, b) => a + b, 0) / (to - from);
    return sorted.slice(from, to).reduce((sum, value) => sum + (value - mean) ** 2, 0);
  };
  let least = sorted.map((_, i) => costOf(0, i + 1));
  for (let c = 1; c < k; c++)
    least = least.map((one, i) =>
      Array.from({ length: i }, (_, j) => least[j]! + costOf(j + 1, i + 1)).reduce((a, b) => Math.min(a, b), one),
    );
  return least.at(-1)!;
}

describe('k-means', () => {
  it.each(INITS)('%s: ends where every centre is the mean of the values nearest to it', (init) => {
    for (const [count, k] of [
      [500, 2],
      [2000, 16],
      [4000, 255],
    ] as const) {
      const values = normalValues(count, k);
      const centres = kMeans(values, k, init, seededRandom(3));
      expect(centres).toHaveLength(k);
      const groups = Array.from(centres, (): number[] => []);
      for (const each of values) groups[nearest(each, centres)]!.push(each);
      groups.forEach((group, c) => expect(group.reduce((a, b) => a + b, 0) / group.length).toBeCloseTo(centres[c]!, 9));
    }
  });

  it.each(INITS)('%s: comes near the best clustering there is', (init) => {
    for (let seed = 1; seed <= 6; seed++) {
      const values = normalValues(80, seed);
      const best = leastError(values, 5);
      const error = squaredError(values, kMeans(values, 5, init, seededRandom(seed)));
      expect(error).toBeGreaterThan(best * (1 - 1e-9));
      expect(error).toBeLessThan(best * 1.6); // a local optimum; the worst of these seeds has 1.48
    }
  });

  it.each(['linear', 'density'] as const)('%s: finds clusters that lie apart', (init) => {
    const values = normalValues(400, 8).map((each, i) => each * 0.01 + [-7, -1, 2, 30][i % 4]!);
    expect(squaredError(values, kMeans(values, 4, init, seededRandom(1)))).toBeCloseTo(leastError(values, 4), 6);
  });

  it.each(INITS)('%s: few different values are the centres themselves', (init) => {
    const values = Float32Array.from({ length: 90 }, (_, i) => [0.1, -2, 7][i % 3]!);
    expect([...kMeans(values, 8, init, seededRandom(1))]).toEqual([-2, Math.fround(0.1), 7]);
    expect([...kMeans(Float32Array.of(3), 2, init, seededRandom(1))]).toEqual([3]);
  });

  it('starts evenly over the range, over the distribution, or at values drawn by the seed', () => {
    const values = Float32Array.from({ length: 1000 }, (_, i) => (i < 999 ? i / 1e6 : 1)); // one far out
    const far = (init: Initialization) => kMeans(values, 4, init, seededRandom(1)).at(-1)!;
    expect(far('linear')).toBe(1);
    const two = INITS.map((init) =>
      [1, 2].map((seed) => kMeans(normalValues(300, 2), 20, init, seededRandom(seed)).join()),
    );
    expect(two.map(([a, b]) => a === b)).toEqual([true, true, false]);
  });
});
