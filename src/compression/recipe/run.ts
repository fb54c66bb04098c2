/**
 * Runs a recipe: validates it, runs the steps in order, checks the result in onnxruntime, exports, measures every file
 * and writes the manifest. Each of these is its own function, so that a search can run many recipes and measure them
 * together.
 */
import type { JobRequest } from '../../contracts/job-request.ts';
import type { Report, ReportWarning } from '../../contracts/report.ts';
import { withTargetKind } from '../data/target-kind.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { readModel } from '../formats/read-model.ts';
import { exportModels } from './exports.ts';
import { writeManifest } from './manifest.ts';
import { measureRecipes, type RecipeMeasures } from './measure-recipes.ts';
import { overallFigures } from './parallel-figures.ts';
import { runSteps, type FinishedSteps } from './run-steps.ts';
import { sha256 } from './sha256.ts';
import type { RecipeFile, RecipeInput, RecipeResult } from './types.ts';
import { validateRecipe } from './validate.ts';
import { comparisonWarnings } from './warnings.ts';
import { elementAt } from '../ir/checked-access.ts';

export type { DatasetSource, RecipeEvent, RecipeFile, RecipeInput, RecipeResult } from './types.ts';

const TAKEN_FOR_VALUES: ReportWarning = {
  code: 'target-taken-for-values',
  message:
    'The target holds more than two whole numbers and the model gives one float for each sample: they are taken for ' +
    'values, not classes. Say so with target.kind "values", or upload floats',
};

/**
 * @throws LatheError with every problem of the recipe before anything runs; what a step throws; the signal's reason
 * when aborted
 */
export async function runRecipe(given: RecipeInput): Promise<RecipeResult> {
  const request = validateRecipe(given.request, given.model, given.dataset?.description ?? null, given.others);
  const read = given.dataset && withTargetKind(request.target, given.dataset, given.model);
  const input = { ...given, dataset: read };
  const { modelBytes, dataset, signal, threads } = input;
  const uploaded = await readModel(modelBytes);
  const original = uploaded.format === 'onnx' ? modelBytes : writeOnnx(uploaded.model);
  const { warnings, warn } = warningsOf(input);
  if (dataset !== given.dataset && (request.target?.kind ?? 'auto') === 'auto') warn(TAKEN_FOR_VALUES);
  const run = await runSteps({
    ...input,
    request,
    original: { model: uploaded.model, sha256: sha256(original) },
    warn,
  });
  const upload = { bytes: modelBytes, format: uploaded.format };
  const exports = await exportModels({ upload, float: run.float, exports: request.export ?? [], warn });
  const setting = {
    original,
    dataset,
    transform: request.transform ?? {},
    seed: request.seed ?? 0,
    threads,
    latencyBudgetMs: input.latencyMs && input.latencyMs * (run.steps.length + 1),
    signal,
  };
  const [measured] = await measureRecipes(setting, [{ files: run.steps.map(({ bytes }) => bytes), exports }]);
  if (!measured) throw new Error('the recipe was not measured');
  for (const warning of comparisonWarnings(request.steps, measured.measures)) warn(warning);
  const report = reportOf(request, run, measured, warnings);
  const made = exports.map(({ name, format, bytes }) => ({ name, format, bytes, step: Math.max(run.float.step, 0) }));
  return result(input, request, report, [...stepFiles(request, run), ...made]);
}

/** Reports each warning and keeps it. */
function warningsOf({ report }: RecipeInput): { warnings: ReportWarning[]; warn: (warning: ReportWarning) => void } {
  const warnings: ReportWarning[] = [];
  const warn = (warning: ReportWarning) => {
    warnings.push(warning);
    report({ type: 'warning', data: warning });
  };
  return { warnings, warn };
}

function reportOf(
  { steps }: JobRequest,
  run: FinishedSteps,
  { measures, exported }: RecipeMeasures,
  warnings: ReportWarning[],
): Report {
  const at = (index: number) => elementAt(measures, index, 'measures of step');
  return {
    before: at(0),
    after: at(measures.length - 1),
    steps: steps.map(({ technique }, i) => ({ technique, after: at(i + 1), ...run.steps[i]?.evidence })),
    ...(exported.length > 0 && { exports: [...exported] }),
    ...overallFigures(run.steps.flatMap(({ evidence }) => evidence.parallel ?? [])),
    warnings,
  };
}

/** The last step's model is the result; the earlier ones are kept beside it. */
function stepFiles(request: JobRequest, { steps }: FinishedSteps): RecipeFile[] {
  return steps.map(({ bytes }, step) => {
    const { technique } = elementAt(request.steps, step, 'step');
    const name = step === steps.length - 1 ? 'model.onnx' : `step-${step + 1}-${technique}.onnx`;
    return { name, format: 'onnx', bytes, step };
  });
}

/** @param models the steps' files, then those of other formats */
function result(
  { modelBytes, dataset, provenance = {} }: RecipeInput,
  request: JobRequest,
  report: Report,
  models: readonly RecipeFile[],
): RecipeResult {
  const manifest = writeManifest({
    modelBytes,
    request,
    dataset: dataset?.description ?? null,
    provenance,
    files: models,
    report,
  });
  return {
    report,
    files: [...models, { name: 'manifest.json', format: 'json', bytes: manifest, step: null }],
    recommended: request.steps.length - 1,
  };
}
