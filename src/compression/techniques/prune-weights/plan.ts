/** When to prune, and how far: the parameters' schedule as a function of the training step. */
import type { PruneWeightsParameters } from './spec.ts';

export interface PruningPlan {
  /** Fraction of the way to prune to before this step; null: leave the masks as they are. */
  fractionBefore(step: number): number | null;
  /** The step before which the target is reached. */
  readonly reachedAt: number;
}

/** Prunings on a gradual ramp: enough for the network to adapt, few enough to cost almost nothing. */
const RAMP_UPDATES = 24;
/** Share of the training over which scores are summed before the first pruning. */
const SCORING_SHARE = 0.1;

export function pruningPlan(
  { schedule, score, sparsity, rampFraction, rounds }: PruneWeightsParameters,
  totalSteps: number,
): PruningPlan {
  const first = score === 'magnitude' ? 0 : Math.max(1, Math.round(totalSteps * SCORING_SHARE));
  switch (schedule) {
    case 'one-shot':
      return { reachedAt: first, fractionBefore: (step) => (step === first ? 1 : null) };
    case 'gradual':
      return cubicRamp(first, Math.max(first, Math.min(totalSteps - 1, Math.round(totalSteps * rampFraction))));
    case 'iterative': {
      const stepsPerRound = Math.ceil(totalSteps / rounds);
      return roundsPlan(Math.min(first, stepsPerRound - 1), stepsPerRound, rounds, sparsity);
    }
  }
}

/** s_t = s_f + (s_i - s_f) (1 - t/n)^3 (Zhu & Gupta 2017, arXiv 1710.01878): fast at first, slower towards the end. */
function cubicRamp(from: number, to: number): PruningPlan {
  const every = Math.max(1, Math.floor((to - from) / RAMP_UPDATES));
  return {
    reachedAt: to,
    fractionBefore: (step) => {
      if (step === to) return 1;
      if (step < from || step > to || (step - from) % every !== 0) return null;
      return 1 - (1 - (step - from) / (to - from)) ** 3;
    },
  };
}

/**
 * Every round removes the same share of what is left: s_r = 1 - (1 - s)^(r / rounds); thresholds and patterns advance
 * evenly.
 */
function roundsPlan(first: number, stepsPerRound: number, rounds: number, sparsity: number | undefined): PruningPlan {
  const fraction = (round: number) =>
    sparsity === undefined || sparsity === 0 || sparsity === 1
      ? round / rounds
      : (1 - (1 - sparsity) ** (round / rounds)) / sparsity;
  return {
    reachedAt: first + (rounds - 1) * stepsPerRound,
    fractionBefore: (step) =>
      (step - first) % stepsPerRound === 0 && step >= first
        ? fraction(Math.min(rounds, (step - first) / stepsPerRound + 1))
        : null,
  };
}
