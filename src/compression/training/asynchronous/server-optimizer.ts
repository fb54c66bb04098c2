/** The optimizer of a server: the training's own, or what joins the workers' local steps. */
import type { Training } from '../../../contracts/job-request.ts';
import type { AsyncSettings } from '../../collective/async-place.ts';
import type { Parameter } from '../../network/network.ts';
import type { UpdateSettings } from '../../parallel/async/update-rule.ts';
import { makeOptimizer, type Optimizer } from '../optimizer.ts';
import { outerOptimizer } from './outer-optimizer.ts';

export interface ServerOptimizer extends Optimizer {
  scalarsOf?(settings: UpdateSettings): number[];
}

export function serverOptimizer(
  settings: Training,
  parameters: readonly Parameter[],
  asynchronous: AsyncSettings,
): ServerOptimizer {
  if (asynchronous.localSteps > 1) return outerOptimizer(parameters);
  const { optimizer = 'adam' } = settings;
  const momentum = takesMomentum(settings, asynchronous) ? 0 : settings.momentum;
  return makeOptimizer(optimizer, { ...settings, momentum }, parameters);
}

/** Do the workers take the optimizer's momentum, before they select what they send (top-k.ts)? */
export function takesMomentum({ optimizer = 'adam' }: Training, { topK, localSteps }: AsyncSettings): boolean {
  return topK < 1 && localSteps === 1 && optimizer === 'sgd';
}
