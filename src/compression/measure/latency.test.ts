import { describe, expect, it } from 'vitest';
import { seededNormal } from '../data/random.ts';
import { isSettled, quantile } from './latency.ts';

describe('isSettled', () => {
  it('takes equal times, and refuses times that scatter', () => {
    expect(isSettled(Array.from({ length: 50 }, () => 3))).toBe(true);
    expect(isSettled(Array.from({ length: 50 }, (_, i) => 3 + (i % 10)))).toBe(false);
  });

  it('stops where the median is within 1 % of the true one, 19 times of 20', () => {
    const [trials, truth, spread] = [100, 10, 0.3];
    let within = 0;
    for (let trial = 0; trial < trials; trial++) {
      const normal = seededNormal(7, trial);
      const times: number[] = [];
      while (times.length < 50 || !isSettled(times)) times.push(truth + spread * normal());
      if (Math.abs(quantile(times, 0.5) - truth) <= 0.01 * truth) within++;
    }
    // Looking again and again at the same data stops a little early: 19 of 20 holds for one look.
    expect(within / trials).toBeGreaterThan(0.9);
  });
});
