/** Tests of training for every engine. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { HostLeader } from '../../../src/compression/collective/host-leader.ts';
import { Replica } from '../../../src/compression/collective/replica.ts';
import { batchSource } from '../../../src/compression/data/batches.ts';
import { trainAndValidation } from '../../../src/compression/data/splits.ts';
import type { Dataset } from '../../../src/compression/data/dataset.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { lowerModel } from '../../../src/compression/network/lower.ts';
import type { Network } from '../../../src/compression/network/network.ts';
import type { CheckpointStore } from '../../../src/compression/step/checkpoint-store.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { tf } from '../../../src/compression/tensor/tf.ts';
import { findHead } from '../../../src/compression/training/head.ts';
import { exchangedStep } from '../../../src/compression/training/exchanged-step.ts';
import { chooseLoss, supervisedTerm, top1 } from '../../../src/compression/training/supervised.ts';
import { train } from '../../../src/compression/training/train.ts';
import type { TrainOptions } from '../../../src/compression/training/train-options.ts';
import { clouds, convolutional, images, perceptron } from '../../support/models.ts';
import { memoryCheckpoints } from '../../support/steps.ts';

export function trainingSuite(engineName: 'wasm' | 'tensorflow'): void {
  beforeAll(async () => {
    await startEngine(engineName, { threads: 1 });
  });

  let open: Network[] = [];
  afterEach(() => {
    for (const network of open) network.dispose();
    open = [];
  });

  function lower(model: Model): Network {
    const lowered = lowerModel(model);
    if (!lowered.ok) throw new Error(JSON.stringify(lowered.untrainable));
    open.push(lowered.network);
    return lowered.network;
  }

  function options(network: Network, dataset: Dataset, more: Partial<TrainOptions> = {}): TrainOptions {
    const head = findHead(network.model, 'y');
    const { train: training, validation } = trainAndValidation(dataset, 0.2, 1);
    const inputs = network.inputs.map(({ name, type }) => ({
      name,
      dtype: type.dtype,
      shape: type.shape!.map((dim) => (typeof dim === 'number' ? dim : null)),
    }));
    const source = (split: typeof training, shuffle: boolean) =>
      batchSource(split, { batchSize: 16, shuffle, seed: 1, transform: {}, inputs, numWorkers: 0 });
    return {
      network,
      terms: [supervisedTerm(head, chooseLoss('auto', head, 'classes'))],
      metrics: [top1(head)],
      settings: { learningRate: 0.01 },
      epochs: 3,
      seed: 5,
      train: source(training, true),
      validation: source(validation, false),
      checkpoints: memoryCheckpoints(),
      signal: new AbortController().signal,
      report: () => undefined,
      ...more,
    };
  }

  const weightsOf = (network: Network) => network.parameters.flatMap(({ variable }) => [...variable.dataSync()]);

  describe(`training on ${engineName}`, () => {
    test.each([null, 'Softmax', 'LogSoftmax'] as const)('learns separable classes behind %s', async (activation) => {
      const network = lower(perceptron({ activation }));
      const { metrics, history } = await train(options(network, clouds()));
      expect(metrics!.top1).toBeGreaterThan(0.95);
      expect(history[2]!.loss).toBeLessThan(history[0]!.loss!);
    });

    test.each(['sgd', 'adam', 'adamw'] as const)('%s: the same seed gives the same bytes', async (optimizer) => {
      const runs = [];
      for (const seed of [5, 5, 6]) {
        const network = lower(perceptron());
        const base = options(network, clouds(), {
          settings: { optimizer, learningRate: 0.01, weightDecay: 0.01, clipNorm: 1 },
        });
        await train({
          ...base,
          seed,
          train: seed === 5 ? base.train : { ...base.train, epoch: (epoch) => base.train.epoch(epoch + 10) },
        });
        runs.push(weightsOf(network));
      }
      expect(runs[1]).toEqual(runs[0]);
      expect(runs[2]).not.toEqual(runs[0]);
    });

    /** The checkpoints of a training that ended within its third epoch. */
    async function interrupted(more: Partial<TrainOptions> = {}): Promise<CheckpointStore> {
      const checkpoints = memoryCheckpoints();
      const stop = new AbortController();
      const training = train(
        options(lower(perceptron()), clouds(), {
          checkpoints,
          signal: stop.signal,
          report: ({ epoch, endOfEpoch }) => {
            if (epoch === 3 && !endOfEpoch) stop.abort(new Error('stopped'));
          },
          ...more,
        }),
      );
      await expect(training).rejects.toThrow('stopped');
      return checkpoints;
    }

    test('a resumed training ends with the weights of an uninterrupted one', async () => {
      const whole = lower(perceptron());
      await train(options(whole, clouds()));
      const checkpoints = await interrupted();
      const second = lower(perceptron({ seed: 99 }));
      const { history } = await train(options(second, clouds(), { checkpoints }));
      expect(history).toHaveLength(3);
      expect(weightsOf(second)).toEqual(weightsOf(whole));
    });

    test('a checkpoint goes by the names of parameters, not by their order', async () => {
      const whole = lower(perceptron());
      await train(options(whole, clouds()));
      const second = lower(perceptron({ seed: 99 }));
      const reversed = Object.create(second, { parameters: { value: [...second.parameters].reverse() } }) as Network;
      await train(options(reversed, clouds(), { checkpoints: await interrupted() }));
      expect(weightsOf(second)).toEqual(weightsOf(whole));
    });

    test('the checkpoint of another optimizer is not used', async () => {
      const checkpoints = await interrupted({ settings: { learningRate: 0.01, optimizer: 'sgd' } });
      const [alone, offered] = [lower(perceptron()), lower(perceptron())];
      await train(options(alone, clouds()));
      await train(options(offered, clouds(), { checkpoints }));
      expect(weightsOf(offered)).toEqual(weightsOf(alone));
    });

    test('split at the gradients it computes what the whole step does', async () => {
      const makeStep = exchangedStep(new Replica(new HostLeader([], 'fail'), { syncBatchNorm: false }));
      const [whole, split] = [lower(perceptron()), lower(perceptron())];
      await train(options(whole, clouds()));
      await train(options(split, clouds(), { makeStep }));
      weightsOf(split).forEach((weight, i) => expect(weight).toBeCloseTo(weightsOf(whole)[i]!, 5));
    });

    test('a network with BatchNormalization learns, its running statistics move, and no tensor is left', async () => {
      const network = lower(convolutional());
      const before = tf.memory().numTensors;
      const counts: number[] = [];
      const { metrics } = await train(
        options(network, images(), { epochs: 6, beforeStep: () => counts.push(tf.memory().numTensors) }),
      );
      expect(metrics!.top1).toBeGreaterThan(0.9);
      expect(network.state.map(({ name }) => name).sort()).toEqual(['mean', 'variance']);
      for (const { name, variable } of network.state)
        expect([...variable.dataSync()].every((value) => value !== (name === 'mean' ? 0 : 1))).toBe(true);
      expect(new Set(counts.slice(4)).size).toBe(1);
      expect(tf.memory().numTensors).toBe(before);
    });

    test('frees every tensor: their number is the same after each step', async () => {
      const network = lower(perceptron());
      const counts: number[] = [];
      const before = tf.memory().numTensors;
      await train(options(network, clouds(), { beforeStep: () => counts.push(tf.memory().numTensors) }));
      expect(new Set(counts.slice(2)).size).toBe(1);
      expect(tf.memory().numTensors).toBe(before);
    });

    test('an abort takes effect within one batch', async () => {
      const stop = new AbortController();
      let steps = 0;
      const aborted = train(
        options(lower(perceptron()), clouds(), {
          signal: stop.signal,
          beforeStep: () => {
            if (++steps === 4) stop.abort(new Error('enough'));
          },
        }),
      );
      await expect(aborted).rejects.toThrow('enough');
      expect(steps).toBe(4);
    });

    test('divergence stops with its code and leaves the best weights', async () => {
      const network = lower(perceptron());
      const before = weightsOf(network);
      const run = train(
        options(network, clouds(), {
          settings: { optimizer: 'sgd', learningRate: 1e20, schedule: { kind: 'constant' } },
        }),
      );
      await expect(run).rejects.toMatchObject({ code: 'diverged' });
      expect(weightsOf(network)).toEqual(before);
    });
  });
}
