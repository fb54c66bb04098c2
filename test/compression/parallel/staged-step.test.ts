/** Training in stages equals training in one piece with the gradients of micro-batches accumulated. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { batchSource } from '../../../src/compression/data/batches.ts';
import type { Dataset } from '../../../src/compression/data/dataset.ts';
import { trainAndValidation } from '../../../src/compression/data/splits.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { lowerOrThrow } from '../../../src/compression/network/lower.ts';
import type { Network } from '../../../src/compression/network/network.ts';
import { splitBatch } from '../../../src/compression/parallel/pipeline/micro-batches.ts';
import { chainOf, oneForwardOneBackward } from '../../../src/compression/parallel/pipeline/schedule.ts';
import { stagedStep } from '../../../src/compression/parallel/pipeline/staged-step.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { tf, type TfTensor } from '../../../src/compression/tensor/tf.ts';
import { Masks } from '../../../src/compression/training/constraint.ts';
import { batchTensors } from '../../../src/compression/training/feeds.ts';
import { findHead } from '../../../src/compression/training/head.ts';
import { applyUpdate, differentiate, type StepMaker } from '../../../src/compression/training/step.ts';
import { chooseLoss, supervisedTerm } from '../../../src/compression/training/supervised.ts';
import { train } from '../../../src/compression/training/train.ts';
import { wholeStep } from '../../../src/compression/training/whole-step.ts';
import { clouds, convolutional, images, perceptron } from '../../support/models.ts';
import { memoryCheckpoints } from '../../support/steps.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

let open: Network[] = [];
afterEach(() => {
  for (const network of open) network.dispose();
  open = [];
});

/** A chain, cut into stages of as many instructions each. */
function staged(network: Network, stages: number, microBatches: number): StepMaker {
  const { instructions } = network.parts.program;
  return stagedStep({
    stageOf: instructions.map((_, i) => Math.floor((i * stages) / instructions.length)),
    stages: chainOf(stages),
    microBatches,
    schedule: (count) => oneForwardOneBackward(stages, count),
  });
}

/** The whole network on each micro-batch; the gradients' sum by samples; one update. */
function accumulating(microBatches: number): StepMaker {
  return (parts) => ({
    run: async (batch, { seed, step, learningRate }) => {
      let sums: TfTensor[] = [];
      let loss = 0;
      const state = new Map<string, TfTensor>();
      const weigh = (before: TfTensor | undefined, tensor: TfTensor, share: number): TfTensor =>
        before ? tf.add(before, tf.mul(tensor, share)) : tf.mul(tensor, share);
      tf.engine().startScope();
      splitBatch(batch, microBatches).forEach((micro, i) => {
        const drawn = tf.tensor1d([(seed + Math.imul(i, 0x9e3779b1)) | 0, step], 'int32');
        const found = differentiate(parts, batchTensors(parts.network, micro), drawn);
        const share = micro.size / batch.size;
        sums = found.gradients.map((gradient, at) => weigh(sums[at], gradient, share));
        for (const [name, tensor] of found.state) state.set(name, weigh(state.get(name), tensor, share));
        loss += found.losses[0]!.dataSync()[0]! * share;
      });
      const scalars = parts.optimizer.scalars(step, learningRate).map((value) => tf.scalar(value));
      applyUpdate(parts, sums, state, scalars);
      tf.engine().endScope();
      return [loss];
    },
    dispose: () => undefined,
  });
}

interface Ended {
  readonly weights: number[];
  readonly losses: number[];
}

async function trained(
  model: Model,
  dataset: Dataset,
  makeStep: (network: Network) => StepMaker,
  masked = false,
): Promise<Ended> {
  const network = lowerOrThrow(model);
  open.push(network);
  const head = findHead(network.model, 'y');
  const { train: split } = trainAndValidation(dataset, 0.2, 1);
  const inputs = network.inputs.map(({ name, type }) => ({
    name,
    dtype: type.dtype,
    shape: type.shape!.map((dim) => (typeof dim === 'number' ? dim : null)),
  }));
  const masks = masked ? new Masks(network.parameters) : null;
  for (const parameter of masked ? network.parameters : []) {
    const half = Float32Array.from({ length: parameter.variable.size }, (_, i) => i % 2);
    masks?.set(parameter, half);
  }
  const { history } = await train({
    network,
    terms: [supervisedTerm(head, chooseLoss('auto', head, 'classes'))],
    metrics: [],
    settings: { optimizer: 'sgd', learningRate: 0.05, clipNorm: 1, weightDecay: 0.01 },
    epochs: 2,
    seed: 5,
    train: batchSource(split, { batchSize: 17, shuffle: true, seed: 1, transform: {}, inputs, numWorkers: 0 }),
    validation: null,
    constraints: masks ? [masks] : [],
    makeStep: makeStep(network),
    checkpoints: memoryCheckpoints(),
    signal: new AbortController().signal,
    report: () => undefined,
  });
  masks?.dispose();
  return {
    weights: [...network.parameters, ...network.state].flatMap(({ variable }) => [...variable.dataSync()]),
    losses: history.map(({ loss }) => loss!),
  };
}

function expectClose(found: Ended, expected: Ended): void {
  for (const kind of ['weights', 'losses'] as const) {
    expect(found[kind]).toHaveLength(expected[kind].length);
    found[kind].forEach((value, i) => expect(Math.abs(value - expected[kind][i]!)).toBeLessThan(1e-5));
  }
}

describe('equals training in one piece', () => {
  const CASES = [
    [2, 1],
    [2, 4],
    [3, 3],
  ] as const;

  test.each(CASES)('a perceptron with masks in %i stages, %i micro-batches of uneven size', async (stages, count) => {
    const whole = await trained(perceptron(), clouds(), () => wholeStep, true);
    const parts = await trained(perceptron(), clouds(), (network) => staged(network, stages, count), true);
    expectClose(parts, whole);
  });

  test.each(CASES)(
    'a convolutional network with batch normalization in %i stages, %i micro-batches',
    async (stages, count) => {
      const whole = await trained(convolutional(), images(), () => accumulating(count));
      const parts = await trained(convolutional(), images(), (network) => staged(network, stages, count));
      expectClose(parts, whole);
      if (count === 1) expectClose(parts, await trained(convolutional(), images(), () => wholeStep));
    },
  );
});

test('leaves no tensors', async () => {
  const before = tf.memory().numTensors;
  await trained(convolutional(), images(), (network) => staged(network, 3, 4));
  for (const network of open) network.dispose();
  open = [];
  expect(tf.memory().numTensors).toBe(before);
});

describe('micro-batches', () => {
  const array = (shape: number[], values: number[]) => ({
    dtype: 'float32' as const,
    shape,
    data: Float32Array.from(values),
  });

  test('are contiguous, differ by one sample at most, and share what has no row for each', () => {
    const batch = {
      size: 5,
      inputs: new Map([
        ['x', array([5, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])],
        ['t', array([], [7])],
      ]),
      target: null,
    };
    const parts = splitBatch(batch, 2);
    expect(parts.map(({ size }) => size)).toEqual([3, 2]);
    expect(parts.map(({ inputs }) => [...inputs.get('x')!.data])).toEqual([
      [0, 1, 2, 3, 4, 5],
      [6, 7, 8, 9],
    ]);
    expect(parts.map(({ inputs }) => inputs.get('t')!.shape)).toEqual([[], []]);
    expect(splitBatch(batch, 9)).toHaveLength(5);
  });
});
