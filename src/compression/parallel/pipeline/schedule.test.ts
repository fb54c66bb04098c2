import { describe, expect, test } from 'vitest';
import { listSchedule } from './list-schedule.ts';
import { chainOf, oneForwardOneBackward, utilisationBound, type Pass } from './schedule.ts';
import { simulate } from './simulate.ts';
import { zeroBubble } from './zero-bubble.ts';

const SIZES = [
  [1, 1],
  [1, 4],
  [2, 1],
  [2, 4],
  [3, 8],
  [4, 2],
  [4, 8],
  [8, 32],
] as const;

const duration = ({ kind }: Pass): number => ({ forward: 1, backward: 2, weights: 0 })[kind];
const text = (passes: readonly Pass[]): string =>
  passes.map(({ kind, microBatch }) => `${kind[0]}${microBatch}`).join(' ');

describe('1F1B', () => {
  test('of Narayanan et al., figure 4: four stages, eight micro-batches', () => {
    expect(oneForwardOneBackward(4, 8).map(text)).toEqual([
      'f0 f1 f2 f3 b0 f4 b1 f5 b2 f6 b3 f7 b4 b5 b6 b7',
      'f0 f1 f2 b0 f3 b1 f4 b2 f5 b3 f6 b4 f7 b5 b6 b7',
      'f0 f1 b0 f2 b1 f3 b2 f4 b3 f5 b4 f6 b5 f7 b6 b7',
      'f0 b0 f1 b1 f2 b2 f3 b3 f4 b4 f5 b5 f6 b6 f7 b7',
    ]);
  });

  test.each(SIZES)('%i stages, %i micro-batches: the bound, and no more activations than stages', (p, m) => {
    const { utilisation, makespan, inFlight } = simulate(oneForwardOneBackward(p, m), { stages: chainOf(p), duration });
    expect(utilisation).toBeCloseTo(utilisationBound(p, m), 12);
    expect(makespan).toBe(3 * (m + p - 1));
    expect(inFlight).toEqual(chainOf(p).map(({ part }) => Math.min(m, p - part)));
  });

  test.each(SIZES)('%i stages, %i micro-batches: list scheduling finds the same', (p, m) => {
    const found = listSchedule({
      stages: chainOf(p).map((links) => ({ ...links, costs: { forward: 1, backward: 2, weights: null } })),
      microBatches: m,
      inFlight: chainOf(p).map(({ part }) => p - part),
    });
    expect(found.map(text)).toEqual(oneForwardOneBackward(p, m).map(text));
  });

  test('transfers and a slow stage show', () => {
    const stages = chainOf(2);
    const even = oneForwardOneBackward(2, 4);
    expect(simulate(even, { stages, duration, transfer: 0.5 }).makespan).toBeGreaterThan(15);
    const slow = simulate(even, { stages, duration: (pass) => duration(pass) * (pass.stage === 1 ? 2 : 1) });
    expect(slow.makespan).toBe(1 + 4 * 6 + 2);
    expect(slow.busy).toEqual([12, 24]);
  });
});

describe('ZB-H1', () => {
  const split = (): number => 1;

  /** Qi et al., table 1: the bubble of 1F1B is (p - 1)(F + B + W), that of ZB-H1 (p - 1)(F + B - W). */
  test.each(SIZES.filter(([p, m]) => m >= p))('%i stages, %i micro-batches: a third of the bubble', (p, m) => {
    const { makespan, inFlight, busy } = simulate(zeroBubble(p, m), { stages: chainOf(p), duration: split });
    expect(makespan - 3 * m).toBe(p - 1);
    expect(busy).toEqual(chainOf(p).map(() => 3 * m));
    expect(Math.max(...inFlight)).toBe(p);
  });

  test('runs every pass of every micro-batch once', () => {
    for (const passes of zeroBubble(3, 5)) {
      expect(passes).toHaveLength(15);
      expect(new Set(passes.map(({ kind, microBatch }) => `${kind}${microBatch}`)).size).toBe(15);
    }
  });
});

describe('stages side by side', () => {
  const costs = { forward: 2, backward: 4, weights: null };
  const towers = [
    { part: 0, receives: [], costs },
    { part: 1, receives: [], costs },
    { part: 1, receives: [0, 1], costs: { forward: 1, backward: 1, weights: null } },
  ];

  test('two towers run at the same time, and their head when both are done', () => {
    const schedule = listSchedule({ stages: towers, microBatches: 1, inFlight: [1, 1, 1] });
    const { makespan, busy } = simulate(schedule, {
      stages: towers,
      duration: ({ kind, stage }) => towers[stage]!.costs[kind] ?? 0,
    });
    expect(makespan).toBe(2 + 1 + 1 + 4);
    expect(busy).toEqual([6, 8]);
  });
});

test('a schedule that waits for itself is named', () => {
  const turned = [...oneForwardOneBackward(2, 1)].map((passes) => [...passes].reverse());
  expect(() => simulate(turned, { stages: chainOf(2), duration })).toThrow(
    'The schedule stands still: backward 0 0, backward 1 0 wait for ever',
  );
});

test('a stage that may hold nothing is refused', () => {
  const stages = chainOf(1).map((links) => ({ ...links, costs: { forward: 1, backward: 1, weights: null } }));
  expect(() => listSchedule({ stages, microBatches: 1, inFlight: [0] })).toThrow(/allowed a micro-batch/);
});
