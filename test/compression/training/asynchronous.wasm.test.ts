import type { StepProgress } from '../../../src/compression/step/step-context.ts';
import { beforeAll, describe, expect, test } from 'vitest';
import { NoWorkers, type AsyncSettings } from '../../../src/compression/collective/async-place.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { toHost } from '../../../src/compression/ir/tensor-data.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { applied, trainAsynchronously } from '../../support/async-workers.ts';
import { clouds, perceptron } from '../../support/models.ts';
import { memoryCheckpoints } from '../../support/steps.ts';

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
});

const SGD = { batchSize: 16, optimizer: 'sgd', momentum: 0.9, learningRate: 0.02, clipNorm: 1 } as const;
const retrain = (epochs: number) => ({
  model: perceptron(),
  dataset: clouds(),
  technique: 'retrain',
  parameters: { epochs },
});

function weightsOf(model: Model): number[] {
  return [...model.graph.initializers.values()].flatMap((each) => [...(toHost(each).data as Float32Array)]);
}

const accuracyOf = (history: readonly Readonly<Record<string, number>>[]): number =>
  Math.max(...history.map((figures) => figures['validation.top1'] ?? 0));

function expectLearnt(progress: readonly { metrics?: Readonly<Record<string, number>>; endOfEpoch?: boolean }[]): void {
  const epochs = progress.filter(({ endOfEpoch }) => endOfEpoch).map(({ metrics }) => metrics ?? {});
  expect(accuracyOf(epochs)).toBeGreaterThan(0.85);
}

/** What epochs report, without the figures of the machine. */
const epochsOf = (progress: readonly StepProgress[]): readonly StepProgress[] =>
  progress
    .filter(({ endOfEpoch }) => endOfEpoch)
    .map(({ metrics = {}, ...rest }) => ({
      ...rest,
      metrics: Object.fromEntries(Object.entries(metrics).filter(([name]) => !name.startsWith('loader.'))),
    }));

describe('one worker trains what one process does', () => {
  test.each([
    ['sgd with clipping', SGD],
    ['adam', { batchSize: 16, optimizer: 'adam', learningRate: 0.01, weightDecay: 0.01 }],
  ] as const)('%s', async (_, training) => {
    const alone = await applied({ ...retrain(3), context: { training } });
    const { state, server, workers, context } = await trainAsynchronously({
      ...retrain(3),
      workers: 1,
      context: { training },
    });
    expect(weightsOf(state.model)).toEqual(weightsOf(alone.state.model));
    expect(epochsOf(context.progress)).toEqual(epochsOf(alone.context.progress));
    expect(server.figures).toMatchObject({ replicas: 1, steps: 48, staleness: [48] });
    // the worker ends with the server's weights
    const [worker] = workers;
    if (worker?.status !== 'fulfilled') throw new Error('the worker failed');
    expect(weightsOf(worker.value.state.model)).toEqual(weightsOf(state.model));
  });

  test('gradual pruning, whose masks the server alone sets', async () => {
    const step = {
      ...retrain(0),
      technique: 'prune-weights',
      parameters: { sparsity: 0.7, schedule: 'gradual', epochs: 3 },
      context: { training: SGD },
    };
    const alone = await applied(step);
    const together = await trainAsynchronously({ ...step, workers: 1 });
    expect(weightsOf(together.state.model)).toEqual(weightsOf(alone.state.model));
  });
});

test.each<[string, Partial<AsyncSettings>]>([
  ['plainly', {}],
  ['at a rate over staleness', { staleness: { scaleLearningRate: true } }],
  ['with compensation', { staleness: { compensate: true } }],
  ['at most 1 late', { staleness: { max: 1 } }],
  ['in step', { staleness: { max: 0 } }],
  ['by local steps', { localSteps: 4 }],
  ['with a fifth of the gradient', { topK: 0.2 }],
])('three workers learn, %s', async (_, settings) => {
  const { server, context, workers } = await trainAsynchronously({
    ...retrain(12),
    workers: 3,
    settings,
    context: { training: SGD },
  });
  expectLearnt(context.progress);
  const { staleness = [], steps, replicas } = server.figures ?? {};
  expect(replicas).toBe(3);
  expect(steps).toBe(12 * 16);
  expect(staleness.length - 1).toBeLessThanOrEqual(settings.staleness?.max ?? Infinity);
  expect(workers.every(({ status }) => status === 'fulfilled')).toBe(true);
});

test('pruned weights stay zero, whatever the workers send', async () => {
  for (const settings of [{}, { localSteps: 3 }]) {
    const { state, context } = await trainAsynchronously({
      ...retrain(0),
      technique: 'prune-weights',
      parameters: { sparsity: 0.75, schedule: 'gradual', epochs: 10 },
      workers: 3,
      settings,
      context: { training: SGD },
    });
    const kernels = ['w1', 'w2'].flatMap((name) => [
      ...(toHost(state.model.graph.initializers.get(name)!).data as Float32Array),
    ]);
    expect(kernels.filter((weight) => weight === 0).length / kernels.length).toBeCloseTo(0.75, 1);
    expectLearnt(context.progress);
  }
});

test('two trainings in one step: hints, then outputs', async () => {
  const { context, workers } = await trainAsynchronously({
    ...retrain(0),
    technique: 'distill',
    parameters: { teacher: 'teacher', method: 'hints', epochs: 4, hintEpochs: 2 },
    workers: 2,
    context: { training: SGD, loadModel: async () => perceptron({ hidden: 24, seed: 9 }) },
  });
  expect(context.progress.filter(({ endOfEpoch }) => endOfEpoch)).toHaveLength(6);
  expect(workers.every(({ status }) => status === 'fulfilled')).toBe(true);
});

test('a worker that is lost holds nobody up, and all batches are trained on', async () => {
  let cut: readonly (() => void)[] = [];
  let epochs = 0;
  const { server, context, workers } = await trainAsynchronously({
    ...retrain(6),
    workers: 3,
    onStreams: (streams) => (cut = streams),
    context: {
      training: SGD,
      report: ({ endOfEpoch }) => {
        if (endOfEpoch && ++epochs === 2) cut[1]?.();
      },
    },
  });
  expect(server.figures?.steps).toBe(6 * 16);
  expect(workers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(epochs).toBe(6);
  expect(context.warnings).toEqual([]);
});

test('without any worker the training ends, and resumes from its checkpoint', async () => {
  const checkpoints = memoryCheckpoints();
  let cut: readonly (() => void)[] = [];
  const seen: number[] = [];
  const run = (cutAt: number) =>
    trainAsynchronously({
      ...retrain(4),
      workers: 2,
      onStreams: (streams) => (cut = streams),
      context: {
        training: SGD,
        checkpoints,
        report: ({ endOfEpoch, epoch = 0 }) => {
          if (!endOfEpoch) return;
          seen.push(epoch);
          if (epoch === cutAt) for (const each of cut) each();
        },
      },
    });
  await expect(run(2)).rejects.toThrow(NoWorkers);
  const { server } = await run(0);
  expect(server.figures?.steps).toBeLessThanOrEqual(3 * 16);
  expect(seen.at(-1)).toBe(4);
});

test('an abort takes effect while the server waits', async () => {
  const stopping = new AbortController();
  const training = trainAsynchronously({
    ...retrain(1000),
    workers: 2,
    context: {
      training: SGD,
      signal: stopping.signal,
      report: ({ endOfEpoch }) => {
        if (endOfEpoch) stopping.abort(new Error('stopped'));
      },
    },
    onStreams: () => undefined,
  });
  await expect(training).rejects.toThrow('stopped');
});
