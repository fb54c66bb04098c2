/** A step as the ranks above 0 apply it: they take part in the training and keep nothing of it. */
import type { AsyncWorker } from '../collective/async-place.ts';
import type { Replica } from '../collective/replica.ts';
import { elementAt } from '../ir/checked-access.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext } from '../step/step-context.ts';
import { sharedCheckpoints } from './apply-together.ts';
import { readable, stepContext, techniqueOf, type StepSetting } from './run-step.ts';

export type ReplicaSetting = Pick<StepSetting, 'request' | 'dataset' | 'original' | 'loadModelBytes' | 'signal'>;

/** @param state before the step, as rank 0 has it */
export function applyAsReplica(
  setting: ReplicaSetting,
  index: number,
  state: ModelState,
  replica: Replica,
): Promise<void> {
  return applyWithin(setting, index, state, { replica, checkpoints: sharedCheckpoints(null, replica.collective) });
}

/** As a worker of an asynchronous training. @param checkpoint that the server resumes from */
export function applyAsWorker(
  setting: ReplicaSetting,
  index: number,
  state: ModelState,
  { worker, checkpoint }: { readonly worker: AsyncWorker; readonly checkpoint: Uint8Array | null },
): Promise<void> {
  const checkpoints = { save: () => Promise.resolve(), load: () => Promise.resolve(checkpoint) };
  return applyWithin(setting, index, state, { asynchronous: worker, checkpoints });
}

async function applyWithin(
  setting: ReplicaSetting,
  index: number,
  state: ModelState,
  place: Pick<StepContext, 'replica' | 'asynchronous' | 'checkpoints'>,
): Promise<void> {
  const step = elementAt(setting.request.steps, index, 'step');
  const technique = techniqueOf(step, index);
  const { technique: _name, ...parameters } = step;
  const context: StepContext = {
    ...stepContext({ ...setting, report: () => undefined }, index),
    ...place,
    report: () => undefined,
    record: () => undefined,
    warn: () => undefined,
  };
  await technique.apply(readable(state, technique, parameters, context), parameters, context);
}
