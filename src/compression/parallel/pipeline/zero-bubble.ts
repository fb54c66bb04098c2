/**
 * ZB-H1 (Qi et al. 2024, arXiv 2401.10241, section 2.3): the backward pass is split, and gradients of weights fill what
 * would be bubbles. Where the three passes take equal time, the bubble of (p - 1)(F + B + W) shrinks to
 * (p - 1)(F + B - W), a third. Every stage holds up to p micro-batches, as the first one does in 1F1B.
 */
import type { Pass, PassKind, Schedule } from './schedule.ts';

export function zeroBubble(stages: number, microBatches: number): Schedule {
  return Array.from({ length: stages }, (_, stage) => passesOf(stage, stages, microBatches));
}

/** As 1F1B, with gradients of weights put off until a further forward pass would hold too much, or B must wait. */
function passesOf(stage: number, stages: number, microBatches: number): readonly Pass[] {
  const passes: Pass[] = [];
  const done: Record<PassKind, number> = { forward: 0, backward: 0, weights: 0 };
  const run = (kind: PassKind): void => {
    passes.push({ kind, stage, microBatch: done[kind]++ });
  };
  while (done.forward < microBatches) {
    if (done.forward - done.weights === stages) run('weights');
    run('forward');
    if (done.forward >= stages - stage) run('backward');
  }
  while (done.backward < microBatches) {
    if (done.weights < done.backward) run('weights');
    run('backward');
  }
  while (done.weights < microBatches) run('weights');
  return passes;
}
