/** Tests of synchronous replicas for every engine: as many processes as ranks, and one process on the whole batch. */
import { beforeAll, describe, expect, test } from 'vitest';
import { seededNormal, seededRandom } from '../../../src/compression/data/random.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import type { JobRequest, Step } from '../../../src/contracts/job-request.ts';
import { npy } from '../../support/datasets.ts';
import { convolutional, perceptron } from '../../support/models.ts';
import { distance, trainTogether } from '../../support/replicas.ts';

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

export function syncSuite(
  engineName: 'wasm' | 'tensorflow',
  cases: readonly (readonly ['mlp' | 'cnn', boolean])[],
): void {
  beforeAll(async () => {
    await startEngine(engineName, { threads: 1 });
  });

  describe.each(['sgd', 'adam'] as const)(`replicas on ${engineName}, %s`, (optimizer) => {
    test.each(cases)(
      'train the same %s as one process (statistics of the whole batch: %s)',
      async (name, syncBatchNorm) => {
        const { model, arrays } = MODELS[name]!;
        const request = requestFor(OPTIMIZERS[optimizer], { mode: 'sync', syncBatchNorm });
        const alone = await trainTogether({ model, arrays, request, replicas: 0 });
        expect(distance(alone.model, model).max).toBeGreaterThan(0.01);
        for (const replicas of [1, 2, 3, 4]) {
          const together = await trainTogether({ model, arrays, request, replicas });
          const { max, compared } = distance(together.model, alone.model);
          expect(compared).toBeGreaterThan(100);
          expect(max, `${replicas} replicas`).toBeLessThan(1e-5);
          const [evidence] = together.context.evidence;
          expect(evidence!.parallel).toMatchObject({ mode: 'sync', replicas, steps: 54 });
          expect(evidence!.parallel!.stepMs).toHaveLength(replicas);
        }
      },
    );
  });
}
