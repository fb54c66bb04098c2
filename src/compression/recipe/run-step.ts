/**
 * Runs one step of a recipe: takes the result of an earlier run with the same inputs, or applies the technique and
 * checks its result.
 */
import type { JobRequest, Step } from '../../contracts/job-request.ts';
import type { ReportWarning } from '../../contracts/report.ts';
import { LatheError } from '../../errors.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { readModel } from '../formats/read-model.ts';
import { withoutCodebooks } from '../graph/codebooks.ts';
import { elementAt } from '../ir/checked-access.ts';
import type { Model } from '../ir/types.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext, StepEvidence } from '../step/step-context.ts';
import { TECHNIQUES } from '../techniques/registry.ts';
import type { Technique } from '../techniques/technique.ts';
import { applyAsynchronously } from './apply-asynchronously.ts';
import { applyTogether } from './apply-together.ts';
import { checkRuns } from './runtime-check.ts';
import { stepKey, type HashedState } from './step-key.ts';
import { stepRecords, type FinishedStep, type StepWarning } from './step-records.ts';
import type { RecipeInput } from './types.ts';

/** Share of the recipe's progress that measuring accounts for. */
const MEASURING_SHARE = 0.1;

/** What all steps of a recipe share. */
export interface StepSetting
  extends Pick<
    RecipeInput,
    'dataset' | 'datasetSource' | 'loadModelBytes' | 'checkpoints' | 'replicas' | 'workers' | 'signal' | 'report'
  > {
  /** Validated, with all defaults. */
  readonly request: JobRequest;
  /** The model as it was uploaded, and the hash of its ONNX file. */
  readonly original: { readonly model: Model; readonly sha256: string };
  warn(warning: ReportWarning): void;
}

/** @throws LatheError what the technique throws; `internal` if its model does not run; the signal's reason */
export async function runStep(setting: StepSetting, index: number, before: HashedState): Promise<FinishedStep> {
  const { request, original, checkpoints } = setting;
  const step = elementAt(request.steps, index, 'step');
  const technique = techniqueOf(step, index);
  const key = await stepKey({
    ...setting,
    spec: technique.spec,
    step,
    before,
    originalSha256: original.sha256,
  });
  const records = stepRecords(checkpoints(index, key), key);
  const known = await records.loadFinished();
  if (known) {
    for (const warning of known.warnings) setting.warn({ ...warning, step: index });
    return known;
  }
  const tell = (state: 'running' | 'succeeded') =>
    setting.report({ type: 'step', data: { step: index, technique: step.technique, state } });
  tell('running');
  const finished = await applied(setting, index, {
    technique,
    step,
    state: before.state,
    checkpoints: records.checkpoints,
  });
  await records.saveFinished(finished);
  tell('succeeded');
  return finished;
}

export function techniqueOf({ technique: name }: Step, index: number): Technique {
  const technique = TECHNIQUES.get(name);
  if (technique) return technique;
  const message = `unknown technique "${name}"; there are ${[...TECHNIQUES.keys()].join(', ')}`;
  throw new LatheError('invalid-request', message, [{ path: `/steps/${index}/technique`, message }]);
}

interface Application extends Pick<StepContext, 'checkpoints'> {
  readonly technique: Technique;
  readonly step: Step;
  readonly state: ModelState;
}

async function applied(
  setting: StepSetting,
  index: number,
  { technique, step, state, checkpoints }: Application,
): Promise<FinishedStep> {
  const { technique: name, ...parameters } = step;
  const warnings: StepWarning[] = [];
  let evidence: StepEvidence = {};
  const context: StepContext = {
    ...stepContext(setting, index),
    checkpoints,
    record: (item) => {
      evidence = { ...evidence, ...item };
    },
    warn: (code, message) => {
      if (warnings.some((warning) => warning.code === code && warning.message === message)) return;
      warnings.push({ code, message });
      setting.warn({ code, message, step: index });
    },
  };
  const given = readable(state, technique, parameters, context);
  const apply = (within: StepContext) => technique.apply(given, parameters, within);
  const found = await applyByProcesses(setting, apply, {
    index,
    state,
    context,
    isTraining: technique.spec.needs(parameters).trainable,
  });
  setting.signal.throwIfAborted();
  const after = technique.spec.isReadOnly ? state : found;
  const bytes = writeOnnx(after.model);
  const { dataset, request } = setting;
  await checkRuns(bytes, { dataset, transform: request.transform ?? {}, technique: name, before: state.model });
  return { bytes, state: after, warnings, evidence };
}

interface Applied {
  readonly index: number;
  readonly state: ModelState;
  readonly context: StepContext;
  readonly isTraining: boolean;
}

/** By this process alone, or together with others where the step trains. */
function applyByProcesses(
  { replicas, workers }: Pick<StepSetting, 'replicas' | 'workers'>,
  apply: (within: StepContext) => Promise<ModelState>,
  { isTraining, ...step }: Applied,
): Promise<ModelState> {
  if (isTraining && workers) return applyAsynchronously(apply, { processes: workers, ...step });
  if (isTraining && replicas) return applyTogether(apply, { processes: replicas, ...step });
  return apply(step.context);
}

/** The state with clustered weights expanded to floats, unless the technique reads codebooks. */
export function readable(
  state: ModelState,
  { spec }: Technique,
  parameters: Record<string, unknown>,
  context: Pick<StepContext, 'warn'>,
): ModelState {
  if (spec.keepsCodebooks?.(parameters)) return state;
  const model = withoutCodebooks(state.model);
  if (model === state.model) return state;
  if (!spec.isReadOnly)
    context.warn(
      'codebooks-expanded',
      `${spec.name} needs plain weights: clustered ones were expanded to floats and are no longer clustered. ` +
        'To keep them clustered, move cluster behind it',
    );
  return { ...state, model };
}

export function stepContext(
  {
    request,
    dataset,
    original,
    loadModelBytes,
    signal,
    report,
  }: Pick<StepSetting, 'request' | 'dataset' | 'original' | 'loadModelBytes' | 'signal' | 'report'>,
  index: number,
): Omit<StepContext, 'record' | 'warn' | 'checkpoints'> {
  const share = (1 - MEASURING_SHARE) / request.steps.length;
  const { technique } = elementAt(request.steps, index, 'step');
  return {
    seed: request.seed ?? 0,
    dataset,
    transform: request.transform ?? {},
    training: request.training ?? {},
    loader: request.loader ?? {},
    original: original.model,
    loadModel: async (id) => (await readModel(await loadModelBytes(id))).model,
    signal,
    report: ({ progress, epoch, metrics, endOfEpoch }) => {
      report({
        type: 'progress',
        data: { progress: (index + progress) * share, step: index, technique, stepProgress: progress },
      });
      if (endOfEpoch && epoch !== undefined && metrics)
        report({ type: 'metric', data: { step: index, technique, epoch, metrics } });
    },
  };
}
