/**
 * A training step split at the gradients: in between, the replicas add up what each has computed on its share of the
 * batch. Gradients, running statistics and losses are weighted by samples, so that all replicas take the step of the
 * whole batch and stay equal. They travel as one array, which TensorFlow joins and parts.
 */
import type { Batch } from '../data/dataset.ts';
import type { Replica } from '../collective/replica.ts';
import { elementAt } from '../ir/checked-access.ts';
import { compileStep, type CompiledStep } from '../tensor/compile.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';
import { samplesOf } from './feeds.ts';
import {
  applyUpdate,
  differentiate,
  earlierRuns,
  ownSeed,
  packInputs,
  stepVariables,
  unpackInputs,
  type StepMaker,
  type TrainingStep,
  type TrainingStepParts,
  type TrainingStepSettings,
} from './step.ts';
import { trainedParameters } from './term.ts';

/** The step of one of several replicas. */
export function exchangedStep(replica: Replica): StepMaker {
  return (parts) => splitStep(parts, replica);
}

function splitStep(parts: TrainingStepParts, replica: Replica): TrainingStep {
  const exchanged = exchangedArray(parts);
  const gradients = shareStep(parts, exchanged);
  const update = updateStep(parts, exchanged);
  return {
    run: async (batch, settings) => {
      const start = performance.now();
      const own =
        batch.size > 0
          ? gradients.run(batch, ownSeed(settings, replica.collective.rank))
          : new Float32Array(exchanged.length);
      const computed = performance.now();
      const sum = await replica.collective.sum(own);
      const received = performance.now();
      update.run(sum, settings);
      const exchangeMs = received - computed;
      replica.record({ exchangeMs, computeMs: performance.now() - start - exchangeMs });
      return exchanged.lossesOf(sum);
    },
    dispose: () => {
      gradients.dispose();
      update.dispose();
    },
  };
}

interface ExchangedArray {
  readonly length: number;
  /** Means over the samples of a share -> their sums, and the number of samples: [length]. */
  join(result: ReturnType<typeof differentiate>, samples: number): TfTensor;
  /** The sums over all replicas -> means of gradients, in the order of the parameters, and running statistics. */
  part(sums: TfTensor): { gradients: TfTensor[]; state: Map<string, TfTensor> };
  lossesOf(sums: Float32Array): number[];
}

/** Gradients, running statistics, losses (the sum, then each term), the number of samples. */
function exchangedArray({ network, terms }: TrainingStepParts): ExchangedArray {
  const trained = trainedParameters(network, terms);
  const shapes = [...trained, ...network.state].map(({ variable }) => variable.shape);
  const sizes = shapes.map((shape) => shape.reduce((product, size) => product * size, 1));
  const tail = terms.length + 2;
  const length = sizes.reduce((sum, size) => sum + size, tail);
  return {
    length,
    join: ({ gradients, state, losses }, samples) => {
      const statistics = network.state.map(({ name, variable }) => state.get(name) ?? variable);
      const values = [...gradients, ...statistics, ...losses, tf.scalar(1)].map((value) => tf.reshape(value, [-1]));
      return tf.mul(tf.concat(values), samples);
    },
    part: (sums) => {
      const means = tf.div(sums, tf.slice(sums, length - 1, 1));
      const parts = tf.split(means, [...sizes, tail]).slice(0, sizes.length);
      const values = parts.map((part, i) => tf.reshape(part, elementAt(shapes, i, 'shape')));
      const statistics = values.slice(trained.length);
      return {
        gradients: values.slice(0, trained.length),
        state: new Map(network.state.map(({ name }, i) => [name, elementAt(statistics, i, 'statistic')])),
      };
    },
    lossesOf: (sums) => {
      const samples = elementAt(sums, length - 1, 'number of samples');
      return [...sums.subarray(length - tail, length - 1)].map((sum) => sum / samples);
    },
  };
}

/** The sums over this replica's share of a batch. */
function shareStep(
  parts: TrainingStepParts,
  { join }: ExchangedArray,
): { run(batch: Batch, settings: TrainingStepSettings): Float32Array; dispose(): void } {
  let compiled: CompiledStep | null = null;
  const step = (inputs: TfTensor[]): TfTensor[] => {
    const { batch, seed } = unpackInputs(parts, inputs);
    return [join(differentiate(parts, batch, seed), samplesOf(batch))];
  };
  return {
    run: (batch, settings) => {
      const inputs = packInputs(parts, batch, settings);
      compiled ??= compileStep({ inputs, variables: stepVariables(parts), step, earlierRuns: earlierRuns(parts) });
      const results = compiled.run(inputs);
      const values = elementAt(results, 0, 'result').dataSync() as Float32Array;
      tf.dispose([...results, ...inputs]);
      return values;
    },
    dispose: () => compiled?.dispose(),
  };
}

/** Updates the parameters by the sums over all replicas. */
function updateStep(
  parts: TrainingStepParts,
  { part }: ExchangedArray,
): { run(sums: Float32Array, settings: TrainingStepSettings): void; dispose(): void } {
  let compiled: CompiledStep | null = null;
  const step = ([sums, ...scalars]: TfTensor[]): TfTensor[] => {
    const { gradients, state } = part(sums as TfTensor);
    applyUpdate(parts, gradients, state, scalars);
    return [];
  };
  return {
    run: (sums, { step: number, learningRate }) => {
      const scalars = parts.optimizer.scalars(number, learningRate).map((value) => tf.scalar(value));
      const inputs = [tf.tensor1d(sums), ...scalars];
      compiled ??= compileStep({ inputs, variables: stepVariables(parts), step, earlierRuns: () => number });
      tf.dispose([...compiled.run(inputs), ...inputs]);
    },
    dispose: () => compiled?.dispose(),
  };
}
