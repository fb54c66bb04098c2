/**
 * A recipe from the first step to the evidence: validate all, run the steps in order, check the result in onnxruntime,
 * measure every file.
 */
import type { JobRequest, Step } from '../../contracts/job-request.ts';
import type { ModelDescription, ModelFormat } from '../../contracts/model.ts';
import type { ExportedFile, Measures, Report, ReportWarning } from '../../contracts/report.ts';
import { LatheError } from '../../errors.ts';
import type { Dataset } from '../data/dataset.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { readModel } from '../formats/read-model.ts';
import { withoutCodebooks } from '../graph/codebooks.ts';
import type { Model } from '../ir/types.ts';
import { measureModels } from '../measure/measure.ts';
import { TECHNIQUES } from '../techniques/registry.ts';
import type { CheckpointStore } from '../step/checkpoint-store.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext, StepEvidence } from '../step/step-context.ts';
import type { Technique } from '../techniques/technique.ts';
import { exportModels, exportReport, followStep, type Exported } from './exports.ts';
import type { FloatModel } from './float-model.ts';
import { writeManifest } from './manifest.ts';
import { checkRuns } from './runtime-check.ts';
import { techniqueCheckpoints, loadFinished, saveFinished } from './step-records.ts';
import { validateRecipe } from './validate.ts';
import { comparisonWarnings } from './warnings.ts';

export interface RecipeInput {
  readonly modelBytes: Uint8Array;
  /** As the job asks; validated here again, defaults filled in. */
  readonly request: JobRequest;
  readonly model: ModelDescription;
  readonly dataset: Dataset | null;
  /** Descriptions of the models that steps name. */
  readonly others?: ReadonlyMap<string, ModelDescription>;
  loadModelBytes(id: string): Promise<Uint8Array>;
  /**
   * One store per step, kept between attempts: a finished step is not run again, a running one goes on from its last
   * epoch.
   */
  checkpoints(step: number): CheckpointStore;
  readonly signal: AbortSignal;
  report(event: RecipeEvent): void;
  /** Threads of the runtime that measures. */
  readonly threads: number;
  /** For the manifest: what the caller knows of versions, devices and input hashes. */
  readonly provenance?: Readonly<Record<string, unknown>>;
}

export type RecipeEvent =
  | {
      readonly type: 'step';
      readonly data: { readonly step: number; readonly technique: string; readonly state: 'running' | 'succeeded' };
    }
  | {
      readonly type: 'progress';
      readonly data: {
        /** 0..1 of the recipe. */ readonly progress: number;
        readonly step: number;
        readonly technique: string;
        readonly stepProgress: number;
      };
    }
  | {
      readonly type: 'metric';
      readonly data: {
        readonly step: number;
        readonly technique: string;
        readonly epoch: number;
        readonly metrics: Readonly<Record<string, number>>;
      };
    }
  | { readonly type: 'warning'; readonly data: ReportWarning };

export interface RecipeFile {
  readonly name: string;
  readonly format: ModelFormat | 'json';
  readonly bytes: Uint8Array;
  /** Index of the step that made it; null: of the whole job. */
  readonly step: number | null;
}

export interface RecipeResult {
  readonly report: Report;
  readonly files: readonly RecipeFile[];
  /** Index into `files`. */
  readonly recommended: number;
}

/** Share of the progress that measuring takes. */
const MEASURING_SHARE = 0.1;

/**
 * @throws LatheError with every problem of the recipe before anything runs; what a step throws; the signal's reason
 * when aborted
 */
export async function runRecipe(input: RecipeInput): Promise<RecipeResult> {
  const request = validateRecipe(input.request, input.model, input.dataset?.description ?? null, input.others);
  const uploaded = await readModel(input.modelBytes);
  const original = uploaded.format === 'onnx' ? input.modelBytes : writeOnnx(uploaded.model);
  const warnings: ReportWarning[] = [];
  const warn = (warning: ReportWarning) => {
    warnings.push(warning);
    input.report({ type: 'warning', data: warning });
  };
  if (request.parallel && request.parallel.mode !== 'none')
    warn({
      code: 'one-process',
      message: 'The training ran in one process, which computes what synchronous replicas would',
    });

  const files: Uint8Array[] = [];
  const evidence: StepEvidence[] = [];
  let state: ModelState = { model: uploaded.model, frozenZeros: new Set(), kept: new Map(), quantized: false };
  let float: FloatModel = {
    model: withoutCodebooks(uploaded.model),
    step: -1,
    storage: 'own',
    kept: new Map(),
    folded: false,
  };
  for (const [index, step] of request.steps.entries()) {
    input.signal.throwIfAborted();
    const finished = await runStep({ input, request, original: uploaded.model, warn }, step, index, state);
    float = followStep(float, step, index, state, finished.state);
    state = finished.state;
    files.push(finished.bytes);
    evidence.push(finished.evidence);
  }
  const exports = await exportModels(input, uploaded.format, float, warn);
  const { measures, exported } = await measure(input, request, { original, files, exports });
  for (const warning of comparisonWarnings(request.steps, measures)) warn(warning);
  const report: Report = {
    before: measures[0]!,
    after: measures.at(-1)!,
    steps: request.steps.map(({ technique }, i) => ({ technique, after: measures[i + 1]!, ...evidence[i] })),
    ...(exported.length > 0 && { exports: exported }),
    warnings,
  };
  return result(
    input,
    request,
    report,
    files,
    exports.map(({ name, format, bytes }) => ({ name, format, bytes, step: Math.max(float.step, 0) })),
  );
}

interface Job {
  readonly input: RecipeInput;
  readonly request: JobRequest;
  readonly original: Model;
  warn(warning: ReportWarning): void;
}

interface Finished {
  readonly state: ModelState;
  /** ONNX. */
  readonly bytes: Uint8Array;
  readonly evidence: StepEvidence;
}

async function runStep(job: Job, step: Step, index: number, before: ModelState): Promise<Finished> {
  const { technique: name, ...parameters } = step;
  const { input } = job;
  const store = input.checkpoints(index);
  const known = await loadFinished(store);
  if (known) {
    for (const warning of known.warnings) job.warn(warning);
    return { bytes: known.bytes, state: known.state, evidence: known.evidence };
  }
  const technique = TECHNIQUES.get(name);
  if (!technique)
    throw new LatheError('invalid-request', `unknown technique "${name}"`, [
      { path: `/steps/${index}/technique`, message: `unknown technique "${name}"` },
    ]);
  const tell = (state: 'running' | 'succeeded') =>
    input.report({ type: 'step', data: { step: index, technique: name, state } });
  tell('running');
  const warnings: ReportWarning[] = [];
  let evidence: StepEvidence = {};
  const context = stepContext(job, index, name, (warning) => {
    warnings.push(warning);
    job.warn(warning);
  });
  const found = await technique.apply(readable(before, technique, parameters, context), parameters, {
    ...context,
    record: (item) => {
      evidence = { ...evidence, ...item };
    },
  });
  const after = technique.spec.isReadOnly ? before : found;
  input.signal.throwIfAborted();
  const bytes = writeOnnx(after.model);
  await checkRuns(bytes, {
    dataset: input.dataset,
    transform: job.request.transform ?? {},
    technique: name,
    before: before.model,
  });
  await saveFinished(store, { bytes, state: after, warnings, evidence });
  tell('succeeded');
  return { bytes, state: after, evidence };
}

/** The state with clustered weights as the floats they stand for, unless the technique reads them as they are. */
function readable(
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
      `${spec.name} works on the weights themselves: it is given the clustered ones as floats, and what it makes of them is not clustered`,
    );
  return { ...state, model };
}

function stepContext(
  { input, request, original }: Job,
  index: number,
  technique: string,
  warn: (warning: ReportWarning) => void,
): Omit<StepContext, 'record'> {
  const share = (1 - MEASURING_SHARE) / request.steps.length;
  return {
    seed: request.seed ?? 0,
    dataset: input.dataset,
    transform: request.transform ?? {},
    training: request.training ?? {},
    loader: request.loader ?? {},
    original,
    loadModel: async (id) => (await readModel(await input.loadModelBytes(id))).model,
    checkpoints: techniqueCheckpoints(input.checkpoints(index)),
    signal: input.signal,
    report: ({ progress, epoch, metrics, endOfEpoch }) => {
      input.report({
        type: 'progress',
        data: { progress: (index + progress) * share, step: index, technique, stepProgress: progress },
      });
      if (endOfEpoch && epoch !== undefined && metrics)
        input.report({ type: 'metric', data: { step: index, technique, epoch, metrics } });
    },
    warn: (code, message) => warn({ code, message, step: index }),
  };
}

interface Files {
  readonly original: Uint8Array;
  readonly files: readonly Uint8Array[];
  readonly exports: readonly Exported[];
}

/** All files in one pass over the samples. `measures`: of the original and each step's file. */
async function measure(
  { dataset, signal, threads }: RecipeInput,
  request: JobRequest,
  { original, files, exports }: Files,
): Promise<{ measures: Measures[]; exported: ExportedFile[] }> {
  const all = await measureModels({
    original,
    candidates: files,
    untimed: exports.map(({ readBack }) => readBack),
    dataset,
    transform: request.transform ?? {},
    seed: request.seed ?? 0,
    threads,
    signal,
  });
  const measures = all.slice(0, files.length + 1);
  return {
    measures,
    exported: await Promise.all(exports.map((file, i) => exportReport(file, all[measures.length + i]!))),
  };
}

/** The last step's model is the one to take; those before it and the manifest stand beside it. */
function result(
  input: RecipeInput,
  request: JobRequest,
  report: Report,
  models: readonly Uint8Array[],
  exports: readonly RecipeFile[],
): RecipeResult {
  const files = models.map((bytes, step): RecipeFile => {
    const name = step === models.length - 1 ? 'model.onnx' : `step-${step + 1}-${request.steps[step]!.technique}.onnx`;
    return { name, format: 'onnx', bytes, step };
  });
  const manifest = writeManifest({
    modelBytes: input.modelBytes,
    request,
    dataset: input.dataset?.description ?? null,
    provenance: input.provenance ?? {},
    files: [...files, ...exports],
    report,
  });
  return {
    report,
    files: [...files, ...exports, { name: 'manifest.json', format: 'json', bytes: manifest, step: null }],
    recommended: models.length - 1,
  };
}
