/** How long training takes, for the `cost` of techniques. */
import type { ModelCost } from './technique.ts';

/** Forward, gradient of the inputs, gradient of the weights. */
const PASSES_OF_TRAINING = 3;

/** @param teacherPasses forward passes of a teacher for each sample */
export function trainingSeconds(
  epochs: number,
  { forwardSeconds, trainingSamples }: ModelCost,
  teacherPasses = 0,
): number {
  return epochs * trainingSamples * forwardSeconds * (PASSES_OF_TRAINING + teacherPasses);
}

/** Epochs of a technique that retrains after each of its rounds, where its schedule has rounds. */
export function scheduledEpochs({
  epochs,
  schedule,
  rounds,
}: {
  readonly epochs: number;
  readonly schedule: string;
  readonly rounds: number;
}): number {
  return schedule === 'iterative' ? epochs * rounds : epochs;
}
