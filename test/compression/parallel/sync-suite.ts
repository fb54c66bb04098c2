/** Tests of synchronous replicas for every engine: as many processes as ranks, and one process on the whole batch. */
import { beforeAll, describe, expect, test } from 'vitest';
import { seededNormal, seededRandom } from '../../../src/compression/data/random.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import type { JobRequest, Step } from '../../../src/contracts/job-request.ts';
import { npy } from '../../support/datasets.ts';
import { convolutional, perceptron } from '../../support/models.ts';
import { distance, trainTogether } from '../../support/replicas.ts';
import { memoryCheckpoints } from '../../support/steps.ts';

/** Samples of normal noise with a shift by class: an epoch of 45 is five batches of 8 and one of 5. */
export function arraysFor(shape: readonly number[], samples = 45): Record<string, Buffer> {
  const [normal, uniform] = [seededNormal(5), seededRandom(5, 1)];
  const size = shape.reduce((product, dim) => product * dim, 1);
  const labels = Int32Array.from({ length: samples }, () => Math.floor(uniform() * 3));
  const x = Float32Array.from(
    { length: samples * size },
    (_, i) => normal() + (Math.floor((i % size) / (size / shape[0]!)) === labels[Math.floor(i / size)] ? 1 : 0),
  );
  const y = npy([samples], labels);
  // A test split of its own: all of the others are for training.
  return { x: npy([samples, ...shape], x), y, x_test: npy([samples, ...shape], x), y_test: y };
}

export const MODELS: Record<string, { readonly model: Model; readonly arrays: Record<string, Buffer> }> = {
  mlp: { model: perceptron({ features: 6 }), arrays: arraysFor([6]) },
  cnn: { model: convolutional(), arrays: arraysFor([4, 6, 6]) },
};

/** 54 training steps; no validation split, so that the last weights are the result. */
export function requestFor(
  training: JobRequest['training'],
  parallel: JobRequest['parallel'],
  epochs = 9,
): Omit<JobRequest, 'model'> {
  return {
    seed: 3,
    steps: [{ technique: 'retrain', epochs } as Step],
    training: { batchSize: 8, validationFraction: 1e-6, ...training },
    parallel,
  };
}

const OPTIMIZERS = {
  sgd: { optimizer: 'sgd', learningRate: 0.02, clipNorm: 1 },
  adam: { optimizer: 'adam', learningRate: 0.003, weightDecay: 0.01 },
} as const;

export type Transport = 'memory' | 'stream';

/** @param transports that the engine has; only `memory` synchronises the statistics of BatchNormalization */
export function syncSuite(engineName: 'wasm' | 'tensorflow', transports: readonly Transport[]): void {
  beforeAll(async () => {
    await startEngine(engineName, { threads: 1 });
  });

  const train = (name: 'mlp' | 'cnn', request: Omit<JobRequest, 'model'>, replicas: number, transport?: Transport) =>
    trainTogether({ ...MODELS[name]!, request, replicas, ...(transport === 'stream' && { transport }) });

  describe.each(['sgd', 'adam'] as const)(`replicas on ${engineName}, %s`, (optimizer) => {
    const cases = transports.flatMap((transport): ['mlp' | 'cnn', Transport][] => [
      ['mlp', transport],
      ...(transport === 'memory' ? [['cnn', transport] as ['cnn', Transport]] : []),
    ]);
    test.each(cases)('1 to 4 train the same %s as one process (%s)', async (name, transport) => {
      const request = requestFor(OPTIMIZERS[optimizer], { mode: 'sync' });
      const alone = await train(name, request, 0);
      expect(distance(alone.model, MODELS[name]!.model).max).toBeGreaterThan(0.01);
      for (const replicas of [1, 2, 3, 4]) {
        const together = await train(name, request, replicas, transport);
        const { max, compared } = distance(together.model, alone.model);
        expect(compared).toBeGreaterThan(100);
        expect(max, `${replicas} replicas`).toBeLessThan(1e-5);
        const evidence = together.context.evidence.find(({ parallel }) => parallel);
        expect(evidence!.parallel).toMatchObject({ mode: 'sync', replicas, steps: 54 });
        expect(evidence!.parallel!.stepMs).toHaveLength(replicas);
      }
    });
  });

  test('replicas whose shares are empty take part', async () => {
    const request = requestFor({ ...OPTIMIZERS.sgd, batchSize: 43 }, { mode: 'sync' }, 5); // 45 samples: 43 and 2
    for (const name of transports.includes('memory') ? (['mlp', 'cnn'] as const) : (['mlp'] as const)) {
      const alone = await train(name, request, 0);
      for (const transport of name === 'cnn' ? (['memory'] as const) : transports)
        expect(distance((await train(name, request, 3, transport)).model, alone.model).max).toBeLessThan(1e-5);
    }
  });

  test('a training of two replicas resumes with three', async () => {
    const request = requestFor(OPTIMIZERS.adam, { mode: 'sync' });
    const name = transports.includes('memory') ? 'cnn' : 'mlp';
    const [checkpoints, stop] = [memoryCheckpoints(), new AbortController()];
    const interrupted = trainTogether({
      ...MODELS[name]!,
      request,
      replicas: 2,
      context: {
        checkpoints,
        signal: stop.signal,
        report: ({ epoch, endOfEpoch }) => {
          if (epoch === 4 && endOfEpoch) stop.abort(new Error('stopped'));
        },
      },
    });
    await expect(interrupted).rejects.toThrow('stopped');
    expect(await checkpoints.load()).not.toBeNull();
    const resumed = await trainTogether({ ...MODELS[name]!, request, replicas: 3, context: { checkpoints } });
    const evidence = resumed.context.evidence.find(({ parallel }) => parallel);
    expect(evidence!.parallel).toMatchObject({ replicas: 3, steps: 30 });
    expect(distance(resumed.model, (await train(name, request, 0)).model).max).toBeLessThan(1e-5);
  });

  test('each share has its own statistics where BatchNormalization is not synchronised', async () => {
    const request = requestFor(OPTIMIZERS.sgd, { mode: 'sync', syncBatchNorm: false });
    const alone = await train('cnn', request, 0);
    const [first, ...others] = await Promise.all(transports.map((transport) => train('cnn', request, 2, transport)));
    expect(distance(first!.model, alone.model).max).toBeGreaterThan(1e-4);
    for (const other of others) expect(distance(other.model, first!.model).max).toBeLessThan(1e-5);
  });
}
