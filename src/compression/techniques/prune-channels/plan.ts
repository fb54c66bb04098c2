/** The rounds of a schedule: how far each prunes, and how long it then trains. */
import type { PruneChannelsParameters } from './spec.ts';

export interface Round {
  /** Share of the way to the ratio, 0 to 1, after this round's pruning. */
  readonly fraction: number;
  /** Epochs of training after it. */
  readonly epochs: number;
}

/** The last round reaches the target. */
export function pruningRounds({ schedule, ratio, epochs, rounds, rampFraction }: PruneChannelsParameters): Round[] {
  switch (schedule) {
    case 'one-shot':
      return [{ fraction: 1, epochs }];
    // Every round removes the same share of what is left.
    case 'iterative':
      return Array.from({ length: rounds }, (_, i) => ({
        fraction: ratio === 0 ? 1 : (1 - (1 - ratio) ** ((i + 1) / rounds)) / ratio,
        epochs,
      }));
    case 'gradual':
      return cubicRamp(epochs, Math.max(1, Math.round(epochs * rampFraction)));
  }
}

/**
 * 1 - (1 - t)^3 (Zhu & Gupta 2017, arXiv 1710.01878): fast at first, slower towards the end. The epochs after the ramp
 * follow its last round.
 */
function cubicRamp(epochs: number, ramp: number): Round[] {
  return Array.from({ length: ramp }, (_, i) => ({
    fraction: 1 - (1 - (i + 1) / ramp) ** 3,
    epochs: i === ramp - 1 ? epochs - ramp + 1 : 1,
  }));
}
