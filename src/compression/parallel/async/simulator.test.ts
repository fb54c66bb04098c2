import { describe, expect, test } from 'vitest';
import { seededNormal } from '../../data/random.ts';
import { Coordinator, type AppliedUpdate, type CoordinatorSettings } from './coordinator.ts';
import { takeLocalSteps } from './local-steps.ts';
import { delayedNesterov } from './outer-optimizer.ts';
import { ParameterServer, type StalenessSettings } from './parameter-server.ts';
import { hostStore } from './parameter-store.ts';
import { simulate, type SimulatedWorker } from './simulator.ts';
import type { Tensors } from './tensors.ts';
import { optimizerRule } from './update-rule.ts';
import { WorkQueue } from './work-queue.ts';
import type { WorkerResult } from './worker-result.ts';

const SIZE = 8;
const START: Tensors = new Map([['w', new Float32Array(SIZE).fill(2)]]);
const SGD = { optimizer: 'sgd', momentum: 0 } as const;

/** Of the loss sum of d * (w - noise)^2 / 2: d * (w - noise of the batch). */
function gradientAt(values: Tensors, batch: number): WorkerResult {
  const normal = seededNormal(5, batch);
  const gradient = values.get('w')!.map((w, i) => ((i + 1) / SIZE) * (w - 0.1 * normal()));
  const loss = values.get('w')!.reduce((sum, w, i) => sum + (((i + 1) / SIZE) * w * w) / 2, 0);
  return { contribution: { gradient: new Map([['w', gradient]]), statistics: new Map(), samples: 4 }, losses: [loss] };
}

interface Run {
  readonly workers: readonly SimulatedWorker[];
  readonly batches: number;
  readonly staleness?: StalenessSettings;
  readonly coordination?: CoordinatorSettings;
  readonly learningRate?: number;
}

async function run({ workers, batches, staleness, coordination, learningRate = 0.05 }: Run) {
  const isLocal = (coordination?.localSteps ?? 1) > 1;
  const store = hostStore(START, isLocal ? delayedNesterov(START) : optimizerRule(SGD, START));
  const coordinator = new Coordinator(new ParameterServer(store, staleness), new WorkQueue([0, batches]), coordination);
  const updates: AppliedUpdate[] = [];
  const inner = optimizerRule(SGD, START);
  const simulated = await simulate({
    coordinator,
    workers,
    seed: 1,
    learningRate: () => learningRate,
    compute: ({ pulled, unit }) =>
      isLocal
        ? takeLocalSteps(pulled, unit, {
            rule: inner,
            learningRate: () => learningRate,
            gradientOf: async ({ values }, batch) => gradientAt(values, batch),
          })
        : gradientAt(pulled.values, unit.batches[0]!),
    onUpdate: (update) => void updates.push(update),
  });
  return { ...simulated, applied: updates, weights: [...store.values().get('w')!], coordinator };
}

const evenly = (count: number, seconds = 1): SimulatedWorker[] =>
  Array.from({ length: count }, (_, i) => ({ name: `w${i}`, secondsPerBatch: () => seconds }));
const randomly = (count: number): SimulatedWorker[] =>
  Array.from({ length: count }, (_, i) => ({
    name: `w${i}`,
    secondsPerBatch: (random) => 0.2 - Math.log(1 - random()),
  }));

function batchesOf(applied: readonly AppliedUpdate[]): number[] {
  return applied.flatMap(({ batches }) => batches).sort((a, b) => a - b);
}
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Gradient descent as one would write it, `width` batches averaged in each step. */
function plain(batches: number, width: number, learningRate = 0.05): number[] {
  const w = Float32Array.from(START.get('w')!);
  for (let at = 0; at < batches; at += width) {
    const gradients = upTo(width).map((i) => gradientAt(new Map([['w', w]]), at + i).contribution.gradient.get('w')!);
    const mean = [...w].map((_, i) => gradients.reduce((sum, g) => sum + g[i]!, 0) / width);
    mean.forEach((g, i) => (w[i]! -= learningRate * g));
  }
  return [...w];
}

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  actual.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-6));
}

test('one worker is plain training', async () => {
  const { weights, coordinator, seconds } = await run({ workers: evenly(1), batches: 50 });
  expectClose(weights, plain(50, 1));
  expect(coordinator.staleness()).toEqual({ histogram: [50], mean: 0, max: 0 });
  expect(seconds).toBe(50);
});

test('bound 0 is synchronous training, and takes as long as its slowest worker', async () => {
  const workers = evenly(4).map((worker, i) => ({ ...worker, secondsPerBatch: () => (i === 2 ? 5 : 1) }));
  const { weights, coordinator, seconds } = await run({ workers, batches: 40, staleness: { max: 0 } });
  expectClose(weights, plain(40, 4));
  expect(coordinator.staleness().histogram).toEqual([40]);
  expect(seconds).toBe(50);
});

test('without a bound a straggler holds nobody up', async () => {
  const workers = evenly(4).map((worker, i) => ({ ...worker, secondsPerBatch: () => (i === 2 ? 5 : 1) }));
  const { seconds, applied } = await run({ workers, batches: 160 });
  // 3.2 batches a second: three workers of 1 and one of 1/5
  expect(seconds).toBeGreaterThanOrEqual(50);
  expect(seconds).toBeLessThan(52);
  expect(batchesOf(applied)).toEqual(upTo(160));
});

test('equal workers in turn: the staleness is their number less one, once all have begun', async () => {
  const { coordinator } = await run({ workers: evenly(5), batches: 50 });
  expect(coordinator.staleness().histogram).toEqual([1, 1, 1, 1, 46]);
});

describe.each([0, 1, 3, 10])('staleness at most %i', (max) => {
  test.each(['random', 'straggler'])('%s', async (kind) => {
    const workers = randomly(7).map((worker, i) =>
      kind === 'straggler' && i === 0 ? { ...worker, secondsPerBatch: () => 30 } : worker,
    );
    const { coordinator, applied } = await run({ workers, batches: 300, staleness: { max } });
    expect(coordinator.staleness().max).toBeLessThanOrEqual(max);
    expect(batchesOf(applied)).toEqual(upTo(300));
  });
});

test('the same seed gives the same run, another order of arrival another', async () => {
  const setting = { workers: randomly(20), batches: 200, staleness: { scaleLearningRate: true, compensate: true } };
  const [first, again, other] = [
    await run(setting),
    await run(setting),
    await run({ ...setting, workers: randomly(19) }),
  ];
  expect(again.weights).toEqual(first.weights);
  expect(again.applied).toEqual(first.applied);
  expect(other.weights).not.toEqual(first.weights);
});

test('workers that come and go: every batch counts exactly once', async () => {
  const workers = randomly(12).map((worker, i) => ({
    ...worker,
    joinsAt: i * 2,
    ...(i % 3 > 0 && { leavesAt: i * 2 + 7 }),
  }));
  for (const staleness of [{}, { max: 0 }, { max: 4 }]) {
    const { applied, coordinator } = await run({ workers, batches: 200, staleness });
    expect(batchesOf(applied)).toEqual(upTo(200));
    expect(coordinator.workers().reduce((sum, { batches }) => sum + batches, 0)).toBe(200);
  }
});

test('a worker that never answers does not hold up the end', async () => {
  const workers = evenly(3).map((worker, i) => ({ ...worker, secondsPerBatch: () => (i === 0 ? 1e9 : 1) }));
  const { seconds, applied } = await run({ workers, batches: 21 });
  expect(batchesOf(applied)).toEqual(upTo(21));
  expect(seconds).toBeLessThan(13);
});

test('when all have left, that is an error and no endless wait', async () => {
  const workers = evenly(2).map((worker) => ({ ...worker, leavesAt: 3.5 }));
  await expect(run({ workers, batches: 100 })).rejects.toThrow(/All workers have left/);
});

test('a thousand workers', async () => {
  const { coordinator, applied, weights } = await run({
    workers: randomly(1000),
    batches: 5000,
    staleness: { scaleLearningRate: true },
    learningRate: 1,
  });
  expect(batchesOf(applied)).toEqual(upTo(5000));
  expect(coordinator.staleness().mean).toBeGreaterThan(700);
  expect(Math.max(...weights.map(Math.abs))).toBeLessThan(1);
});

describe('local steps', () => {
  test('of all workers in one update: DiLoCo, written out', async () => {
    const { weights } = await run({
      workers: evenly(2),
      batches: 24,
      staleness: { max: 0 },
      coordination: { localSteps: 3 },
    });
    let w = [...START.get('w')!];
    let v = w.map(() => 0);
    for (let round = 0; round < 4; round++) {
      const ends = [0, 1].map((worker) => {
        const own = Float32Array.from(w);
        for (let step = 0; step < 3; step++) {
          const batch = (round * 2 + worker) * 3 + step;
          const g = gradientAt(new Map([['w', own]]), batch).contribution.gradient.get('w')!;
          g.forEach((value, i) => (own[i]! -= 0.05 * value));
        }
        return own;
      });
      const change = w.map((value, i) => value - (ends[0]![i]! + ends[1]![i]!) / 2);
      v = v.map((value, i) => 0.9 * value + change[i]!);
      w = w.map((value, i) => value - 0.7 * (change[i]! + 0.9 * v[i]!));
    }
    weights.forEach((value, i) => expect(value).toBeCloseTo(w[i]!, 5));
  });

  test('slower workers take fewer, so that all come about as often', async () => {
    const workers = evenly(4).map((worker, i) => ({ ...worker, secondsPerBatch: () => (i === 3 ? 4 : 1) }));
    const coordination = { localSteps: 8, adaptsLocalSteps: true };
    const { applied } = await run({ workers, batches: 800, coordination });
    const sizesOf = (name: string) =>
      applied.filter((update) => update.workers[0] === name).map(({ batches }) => batches.length);
    expect(
      sizesOf('w0')
        .slice(2, -2)
        .every((size) => size === 8),
    ).toBe(true);
    expect(
      sizesOf('w3')
        .slice(2, -2)
        .every((size) => size === 2),
    ).toBe(true);
    expect(batchesOf(applied)).toEqual(upTo(800));
  });
});
