/** Figures of a parallel training over all steps of a recipe. */
import type { ParallelFigures, Report } from '../../contracts/report.ts';
import { elementAt } from '../ir/checked-access.ts';

/** Means by training step, of the steps that ran with the replicas that the last one had. Nothing if none did. */
export function overallFigures(figures: readonly ParallelFigures[]): Pick<Report, 'parallel'> {
  const last = figures.at(-1);
  if (!last) return {};
  const alike = figures.filter(({ mode, replicas }) => mode === last.mode && replicas === last.replicas);
  const steps = alike.reduce((sum, each) => sum + each.steps, 0);
  const mean = (value: (of: ParallelFigures) => number) =>
    alike.reduce((sum, each) => sum + value(each) * each.steps, 0) / Math.max(1, steps);
  return {
    parallel: {
      ...last,
      steps,
      stepMs: last.stepMs.map((_, rank) => mean(({ stepMs }) => elementAt(stepMs, rank, 'replica'))),
      exchangeMs: mean(({ exchangeMs }) => exchangeMs),
      waitShare: mean(({ waitShare }) => waitShare),
    },
  };
}
