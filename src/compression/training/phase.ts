/** One of several trainings in a step. */
import type { CheckpointStore } from '../step/checkpoint-store.ts';
import type { StepContext, StepProgress } from '../step/step-context.ts';

export interface Phase {
  /** Epochs of the step's trainings before this one. */
  readonly epochsBefore: number;
  /** Of this one. */
  readonly epochs: number;
  /** Of the whole step. */
  readonly allEpochs: number;
}

/**
 * The step's context for one of its trainings: reports progress as a part of the whole and has its own checkpoint
 * store.
 */
export function phaseOf(
  context: StepContext,
  checkpoints: CheckpointStore,
  { epochsBefore, epochs, allEpochs }: Phase,
): StepContext {
  return {
    ...context,
    checkpoints,
    report: (progress: StepProgress) =>
      context.report({
        ...progress,
        progress: (epochsBefore + progress.progress * epochs) / Math.max(1, allEpochs),
        ...(progress.epoch !== undefined && { epoch: epochsBefore + progress.epoch }),
      }),
  };
}
