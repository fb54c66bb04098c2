/** A trial's cost: by labels if there are any, else by the outputs' distance from the untouched model's. */
import type { Accuracy, Fidelity, Sensitivity } from '../../../contracts/report.ts';

export interface Verdict {
  /** null: no labels, or none that fit. */
  readonly accuracy: Accuracy | null;
  readonly fidelity: Fidelity;
}

export type Metric = Sensitivity['metric'];

/** @param untouched the model against itself: its agreement is 1 where its outputs are classes, else null */
export function metricOf({ accuracy, fidelity }: Verdict): Metric {
  if (accuracy) return accuracy.top1 === null ? 'loss' : 'top1';
  return fidelity.top1Agreement === null ? 'noise' : 'top1Agreement';
}

/** How much worse, as a share, so that it compares with the tolerance. */
export function dropOf(metric: Metric, untouched: Verdict, trial: Verdict): number {
  switch (metric) {
    case 'top1':
      return (untouched.accuracy?.top1 ?? 0) - (trial.accuracy?.top1 ?? 0);
    case 'loss':
      return growth(untouched.accuracy?.loss ?? 0, trial.accuracy?.loss ?? Number.MAX_VALUE);
    case 'top1Agreement':
      return 1 - (trial.fidelity.top1Agreement ?? 0);
    case 'noise':
      return noiseOf(trial.fidelity);
  }
}

/**
 * For an original loss of zero (a model that made its own data) a share is undefined: the loss itself. JSON has no
 * infinities.
 */
const growth = (before: number, after: number): number =>
  Math.min(Number.MAX_VALUE, before > 0 ? after / before - 1 : after);

/** Squared error as a share of the squared outputs: the inverse of the SQNR. */
export const noiseOf = ({ sqnrDb }: Fidelity): number => (sqnrDb === null ? 0 : 10 ** (-sqnrDb / 10));
