/** The settings of an asynchronous training, with their defaults. */
import type { Parallel } from '../../contracts/job-request.ts';
import type { AsyncSettings } from '../collective/async-place.ts';

/**
 * The rate is divided by the staleness unless that is turned off: with as few as eight workers the plain rate loses what
 * it learns (docs/decisions/async.md). Local steps have their own remedy, delayed momentum.
 */
export function asyncSettings(parallel: Partial<Parallel> = {}): AsyncSettings {
  const { staleness = {}, localSteps = 1, compression } = parallel;
  return {
    staleness: { scaleLearningRate: localSteps === 1, ...staleness },
    localSteps,
    topK: compression?.topK ?? 1,
  };
}
