/** In which order each part of a pipeline runs its passes: plain data, the same for a simulation and for processes. */

/**
 * `backward` gives the gradients of what a stage received, and of its parameters too where the schedule has no
 * `weights` passes; `weights` gives those of its parameters alone.
 */
export type PassKind = 'forward' | 'backward' | 'weights';

export interface Pass {
  readonly kind: PassKind;
  readonly stage: number;
  /** From 0. */
  readonly microBatch: number;
}

/** By part, its passes in order. A part is what one process computes: one stage of a pipeline, or several branches. */
export type Schedule = readonly (readonly Pass[])[];

/** The stages that a schedule is for. */
export interface StageLinks {
  /** The part that computes it. */
  readonly part: number;
  /** Earlier stages that it gets values from. */
  readonly receives: readonly number[];
}

/** A chain of stages with a part each. */
export function chainOf(stages: number): readonly StageLinks[] {
  return Array.from({ length: stages }, (_, part) => ({ part, receives: part === 0 ? [] : [part - 1] }));
}

/**
 * One forward, one backward, with a flush after each batch (PipeDream-flush; Narayanan et al. 2021, arXiv 2104.04473,
 * section 2.2): stage s of p begins with p - s - 1 forward passes, then alternates. At most p - s micro-batches are
 * under way in stage s, however many there are (GPipe holds all of them); the time is the same as GPipe's.
 */
export function oneForwardOneBackward(stages: number, microBatches: number): Schedule {
  return Array.from({ length: stages }, (_, stage) => {
    const warmUp = Math.min(stages - stage - 1, microBatches);
    const pass = (kind: PassKind, microBatch: number): Pass => ({ kind, stage, microBatch });
    return [
      ...count(warmUp).map((i) => pass('forward', i)),
      ...count(microBatches - warmUp).flatMap((i) => [pass('forward', warmUp + i), pass('backward', i)]),
      ...count(warmUp).map((i) => pass('backward', microBatches - warmUp + i)),
    ];
  });
}

/** The share of time that p stages of equal cost compute at best in a flushed 1F1B: m / (m + p - 1). */
export function utilisationBound(stages: number, microBatches: number): number {
  return microBatches / (microBatches + stages - 1);
}

const count = (length: number): number[] => Array.from({ length }, (_, i) => i);
