/** A step as the ranks above 0 apply it: they take part in the training and keep nothing of it. */
import type { Replica } from '../collective/replica.ts';
import { elementAt } from '../ir/checked-access.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext } from '../step/step-context.ts';
import { sharedCheckpoints } from './apply-together.ts';
import { readable, stepContext, techniqueOf, type StepSetting } from './run-step.ts';

/** @param state before the step, as rank 0 has it */
export async function applyAsReplica(
  setting: Pick<StepSetting, 'request' | 'dataset' | 'original' | 'loadModelBytes' | 'signal'>,
  index: number,
  state: ModelState,
  replica: Replica,
): Promise<void> {
  const step = elementAt(setting.request.steps, index, 'step');
  const technique = techniqueOf(step, index);
  const { technique: _name, ...parameters } = step;
  const context: StepContext = {
    ...stepContext({ ...setting, report: () => undefined }, index),
    replica,
    checkpoints: sharedCheckpoints(null, replica.collective),
    report: () => undefined,
    record: () => undefined,
    warn: () => undefined,
  };
  await technique.apply(readable(state, technique, parameters, context), parameters, context);
}
