/** Training in stages equals training in one piece with the gradients of micro-batches accumulated. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Network } from '../../../src/compression/network/network.ts';
import { splitBatch } from '../../../src/compression/parallel/pipeline/micro-batches.ts';
import { chainOf, oneForwardOneBackward } from '../../../src/compression/parallel/pipeline/schedule.ts';
import { stagedStep } from '../../../src/compression/parallel/pipeline/staged-step.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { tf, type TfTensor } from '../../../src/compression/tensor/tf.ts';
import { batchTensors } from '../../../src/compression/training/feeds.ts';
import { applyUpdate, differentiate, type StepMaker } from '../../../src/compression/training/step.ts';
import { wholeStep } from '../../../src/compression/training/whole-step.ts';
import { clouds, convolutional, images, perceptron } from '../../support/models.ts';
import { expectClose, trained } from '../../support/staged-training.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
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
