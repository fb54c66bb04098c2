/**
 * A training step of a network in stages, in one process: the passes of its schedule on micro-batches, their gradients
 * summed, one update.
 *
 * The loss of each micro-batch counts by its samples, so that the sum is the mean over the batch. Running statistics of
 * BatchNormalization are those of micro-batches, averaged by samples; the statistics that normalize are each
 * micro-batch's own (as in GPipe; Huang et al. 2019, arXiv 1811.06965).
 */
import type { Batch } from '../../data/dataset.ts';
import { elementAt } from '../../ir/checked-access.ts';
import { cutNetwork } from '../../network/stages/cut-network.ts';
import { compileStep, type CompiledStep } from '../../tensor/compile.ts';
import { tf, type TfTensor } from '../../tensor/tf.ts';
import { batchTensors } from '../../training/feeds.ts';
import {
  applyUpdate,
  readLosses,
  stepVariables,
  type StepMaker,
  type TrainingStepParts,
  type TrainingStepSettings,
} from '../../training/step.ts';
import { trainedParameters } from '../../training/term.ts';
import { LocalLink } from './link.ts';
import { splitBatch } from './micro-batches.ts';
import { PassRunner, type Sums } from './pass-runner.ts';
import { inOneOrder } from './pass-order.ts';
import type { ParallelPlan } from './plan.ts';
import { StageStep, type MicroBatchTensors } from './stage-step.ts';

export type ScheduleOf = (microBatches: number) => ParallelPlan['schedule'];

export interface StagedOptions extends Pick<ParallelPlan, 'stageOf' | 'stages'> {
  readonly microBatches: number;
  /** The schedule for a number of micro-batches: a short last batch may have fewer. */
  readonly schedule: ScheduleOf;
}

/** @throws Error where the cut does not fit the network */
export function stagedStep(options: StagedOptions): StepMaker {
  return (parts) => {
    const fetch = parts.terms.flatMap((term) => term.fetch);
    const stages = cutNetwork(parts.network, { stageOf: options.stageOf, fetch });
    const steps = new Map(stages.map((stage, i) => [i, new StageStep(stage, parts, i === stages.length - 1)]));
    const update = updateStep(parts);
    return {
      run: async (batch, settings) => {
        const micro = microTensors(parts, splitBatch(batch, options.microBatches), batch.size, settings);
        const runner = new PassRunner(steps, micro, new LocalLink());
        for (const pass of inOneOrder(options.schedule(micro.length), options.stages)) await runner.run(pass);
        const { losses, ...sums } = runner.sums;
        tf.dispose(micro.flatMap(({ batch: tensors, seed, share }) => [...tensors, seed, share]));
        update.run(sums, settings);
        return readLosses(losses, []);
      },
      dispose: () => {
        for (const step of steps.values()) step.dispose();
        update.dispose();
      },
    };
  };
}

/** The first micro-batch draws as the whole batch does in one process. */
export function microTensors(
  { network }: TrainingStepParts,
  batches: readonly Batch[],
  samples: number,
  { seed, step }: TrainingStepSettings,
): readonly MicroBatchTensors[] {
  return batches.map((batch, i) => ({
    batch: batchTensors(network, batch),
    seed: tf.tensor1d([(seed + Math.imul(i, 0x9e3779b1)) | 0, step], 'int32'),
    share: tf.scalar(batch.size / samples),
  }));
}

/** The update as a compiled step of its own; disposes of the sums. */
export function updateStep(parts: TrainingStepParts): {
  run(sums: Omit<Sums, 'losses'>, settings: TrainingStepSettings): void;
  dispose(): void;
} {
  const { network, terms, optimizer } = parts;
  const trained = trainedParameters(network, terms);
  let compiled: CompiledStep | null = null;
  const apply = (inputs: TfTensor[]): TfTensor[] => {
    const state = new Map(network.state.map(({ name }, i) => [name, elementAt(inputs, trained.length + i, 'state')]));
    applyUpdate(parts, inputs.slice(0, trained.length), state, inputs.slice(trained.length + network.state.length));
    return [];
  };
  return {
    run: ({ gradients, state }, { step, learningRate }) => {
      const inputs = [
        ...trained.map(({ name, variable }) => gradients.get(name) ?? tf.zerosLike(variable)),
        ...network.state.map(({ name, variable }) => state.get(name) ?? variable.clone()),
        ...optimizer.scalars(step, learningRate).map((value) => tf.scalar(value)),
      ];
      compiled ??= compileStep({ inputs, variables: stepVariables(parts), step: apply });
      tf.dispose(compiled.run(inputs));
      tf.dispose(inputs);
    },
    dispose: () => compiled?.dispose(),
  };
}
