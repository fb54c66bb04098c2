/** Runs the steps of a recipe in order, from the uploaded model to the last step's result. */
import { withoutCodebooks } from '../graph/codebooks.ts';
import { followStep } from './exports.ts';
import type { FloatModel } from './float-model.ts';
import { runStep, type StepSetting } from './run-step.ts';
import { sha256 } from './sha256.ts';
import type { HashedState } from './step-key.ts';
import type { FinishedStep } from './step-records.ts';

export interface FinishedSteps {
  /** One per step. */
  readonly steps: readonly FinishedStep[];
  /** The model that files of other formats are written from. */
  readonly float: FloatModel;
}

/** @throws what `runStep` throws; the signal's reason when aborted between steps */
export async function runSteps(setting: StepSetting): Promise<FinishedSteps> {
  const { model, sha256: hash } = setting.original;
  let before: HashedState = {
    state: { model, frozenZeros: new Set(), kept: new Map(), quantized: false },
    sha256: hash,
  };
  let float: FloatModel = {
    model: withoutCodebooks(model),
    step: -1,
    storage: 'own',
    kept: new Map(),
    folded: false,
    changed: false,
  };
  const steps: FinishedStep[] = [];
  for (const [index, step] of setting.request.steps.entries()) {
    setting.signal.throwIfAborted();
    const finished = await runStep(setting, index, before);
    float = followStep(float, step, { index, before: before.state, after: finished.state });
    before = { state: finished.state, sha256: sha256(finished.bytes) };
    steps.push(finished);
  }
  return { steps, float };
}
