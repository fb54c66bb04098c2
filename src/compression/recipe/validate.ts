/**
 * Validates a recipe before anything runs, from descriptions alone (no engine), and finds every problem of every step
 * at once. Paths are JSON pointers into the job request.
 */
import { Value } from 'typebox/value';
import type { DatasetDescription } from '../../contracts/dataset.ts';
import type { JobRequest, Step } from '../../contracts/job-request.ts';
import type { ModelDescription } from '../../contracts/model.ts';
import { LatheError, type ErrorCode, type ErrorDetail } from '../../errors.ts';
import { augmentationProblems } from '../data/loader/augment/problems.ts';
import { datasetProblems, indexProblems } from '../data/match.ts';
import { describedAsValues, readsAsValues, targetKindProblems } from '../data/target-kind.ts';
import { specOf, TECHNIQUES } from '../techniques/registry.ts';
import type { Available, TechniqueSpec } from '../techniques/technique.ts';
import { parallelProblems } from './parallel-problems.ts';
import { schemaProblems } from './schema-problems.ts';
import { orderProblems } from './step-order.ts';
import { elementAt } from '../ir/checked-access.ts';

interface Problem extends ErrorDetail {
  readonly code: ErrorCode;
}

/** What a recipe is checked against. */
interface Setting {
  readonly request: JobRequest;
  readonly model: ModelDescription;
  readonly dataset: DatasetDescription | null;
  readonly others: ReadonlyMap<string, ModelDescription>;
}

/** If there are problems of several kinds, the error's code is the first of these. */
const PRECEDENCE: readonly ErrorCode[] = [
  'invalid-request',
  'not-found',
  'dataset-required',
  'model-not-trainable',
  'unsupported-operator',
  'shape-mismatch',
  'malformed-dataset',
];

/** Ids of other models that the steps name (distillation's teachers). */
export function modelsNamedBy(steps: readonly Step[]): string[] {
  const teachers = steps.map((step) => (step as Record<string, unknown>).teacher);
  return [...new Set(teachers.filter((id): id is string => typeof id === 'string' && id !== 'original'))];
}

/**
 * The request with every step's defaults filled in.
 * @param others descriptions of the models that `modelsNamedBy` lists
 * @throws LatheError with all problems in `errors`
 */
export function validateRecipe(
  request: JobRequest,
  model: ModelDescription,
  described: DatasetDescription | null,
  others: ReadonlyMap<string, ModelDescription> = new Map(),
): JobRequest {
  const dataset =
    described && readsAsValues(request.target, described.target, model) ? describedAsValues(described) : described;
  const setting: Setting = { request, model, dataset, others };
  const steps = request.steps.map((step, index) => completeStep(step, index, setting));
  const problems = [
    ...steps.flatMap((step) => step.problems),
    ...orderProblems(steps.map((step) => step.step)).map(
      (problem): Problem => ({ code: 'invalid-request', ...problem }),
    ),
    ...parallelProblems(request.parallel).map((problem): Problem => ({ code: 'invalid-request', ...problem })),
    ...(described ? targetKindProblems(request.target, described.target) : []).map(
      (problem): Problem => ({ code: 'invalid-request', ...problem }),
    ),
    ...(dataset
      ? datasetProblems(model, dataset, request.transform).map(
          (problem): Problem => ({ code: 'shape-mismatch', ...problem }),
        )
      : []),
    ...(dataset
      ? indexProblems(model, dataset).map((problem): Problem => ({ code: 'malformed-dataset', ...problem }))
      : []),
    ...loaderProblems(setting),
  ];
  if (problems.length > 0) throw recipeError(problems);
  return { ...request, steps: steps.map(({ step }) => step) };
}

function loaderProblems({ request, model, dataset }: Setting): Problem[] {
  const { augment = [] } = request.loader ?? {};
  if (!dataset) return [];
  return augmentationProblems(augment, model, dataset, request.transform).map(
    (problem): Problem => ({ code: 'invalid-request', ...problem }),
  );
}

function recipeError(problems: readonly Problem[]): LatheError {
  const code =
    PRECEDENCE.find((candidate) => problems.some((problem) => problem.code === candidate)) ?? 'invalid-request';
  const details = problems.map(({ path, message }) => ({ path, message }));
  return new LatheError(code, details.map(({ path, message }) => `${path}: ${message}`).join('; '), details);
}

/** One step with its defaults, and what is wrong with it. */
function completeStep(step: Step, index: number, setting: Setting): { step: Step; problems: Problem[] } {
  const path = `/steps/${index}`;
  const spec = specOf(step.technique);
  if (!spec) {
    const message = `unknown technique "${step.technique}"; there are ${[...TECHNIQUES.keys()].join(', ')}`;
    return { step, problems: [{ code: 'invalid-request', path: `${path}/technique`, message }] };
  }
  const { technique: _technique, ...given } = step;
  const parameters = withDefaults(spec, given, setting);
  const problems = parameterProblems(spec, parameters);
  const all = problems.length > 0 ? problems : settingProblems(spec, parameters, setting);
  return {
    step: { technique: step.technique, ...parameters },
    problems: all.map((problem) => ({ ...problem, path: path + problem.path })),
  };
}

/**
 * Precedence: given values, the job's epochs, what the technique derives from the job, the schema's defaults. A step's
 * training settings override the job's one by one and so have no defaults of their own.
 */
function withDefaults(spec: TechniqueSpec, given: Record<string, unknown>, setting: Setting): Record<string, unknown> {
  const takesEpochs = 'epochs' in ((spec.parameters as { properties?: object }).properties ?? {});
  const epochs = setting.request.training?.epochs;
  const parameters = {
    ...spec.defaults?.(given, available(setting)),
    ...(takesEpochs && epochs !== undefined ? { epochs } : {}),
    ...given,
  };
  const complete = Value.Default(spec.parameters, Value.Clone(parameters)) as Record<string, unknown>;
  return 'training' in given ? { ...complete, training: given.training } : complete;
}

function available({ model, dataset }: Setting): Available {
  return {
    trainable: model.trainable,
    data: dataset === null ? 'none' : dataset.target.kind === 'none' ? 'inputs' : 'labels',
  };
}

function parameterProblems(spec: TechniqueSpec, parameters: Record<string, unknown>): Problem[] {
  const schema = schemaProblems(spec.parameters, parameters);
  const problems = schema.length > 0 ? schema : (spec.contradictions?.(parameters) ?? []);
  return problems.map((problem) => ({ code: 'invalid-request', ...problem }));
}

/** What the step needs and the job lacks: data, labels, a trainable model, a teacher that fits. */
function settingProblems(spec: TechniqueSpec, parameters: Record<string, unknown>, setting: Setting): Problem[] {
  const { data, trainable } = spec.needs(parameters);
  return [
    ...asyncProblems(spec, parameters, setting.request),
    ...dataProblems(spec.name, data, setting),
    ...(trainable ? trainingProblems(spec.name, setting) : []),
    ...teacherProblems(parameters.teacher, setting),
  ];
}

/** What workers of an asynchronous training cannot do for the step. */
function asyncProblems(
  spec: TechniqueSpec,
  parameters: Record<string, unknown>,
  { parallel }: Pick<JobRequest, 'parallel'>,
): Problem[] {
  if (parallel?.mode !== 'async') return [];
  const problems = spec.contradictsAsync?.(parameters, (parallel.localSteps ?? 1) > 1) ?? [];
  return problems.map((problem) => ({ code: 'invalid-request', ...problem }));
}

function dataProblems(
  technique: string,
  need: ReturnType<TechniqueSpec['needs']>['data'],
  { dataset }: Setting,
): Problem[] {
  if (need === 'none' || need === 'optional') return [];
  if (!dataset)
    return [
      {
        code: 'dataset-required',
        path: '',
        message: `${technique} needs a dataset${need === 'labels' ? ' with labels' : ' (labels are not needed)'}`,
      },
    ];
  if (dataset.splits.train === 0)
    return [
      {
        code: 'dataset-required',
        path: '',
        message: `${technique} needs training samples; the dataset's training split is empty`,
      },
    ];
  if (need === 'labels' && dataset.target.kind === 'none') {
    return [
      {
        code: 'dataset-required',
        path: '',
        message: `${technique} needs labels and the dataset has none; ${learnersWithoutLabels()} does without`,
      },
    ];
  }
  return [];
}

/** Techniques that learn from a teacher. */
function learnersWithoutLabels(): string {
  return [...TECHNIQUES.values()]
    .filter(({ spec }) => 'teacher' in ((spec.parameters as { properties?: object }).properties ?? {}))
    .map(({ spec }) => spec.name)
    .join(' or ');
}

function trainingProblems(technique: string, { model }: Setting): Problem[] {
  if (model.trainable) return [];
  const reasons = model.untrainable
    .map(({ node, operator, reason }) => `node "${node}" (${operator}): ${reason}`)
    .join('; ');
  return [
    {
      code: 'model-not-trainable',
      path: '',
      message: `${technique} trains, and this model cannot be trained${reasons ? `: ${reasons}` : ''}`,
    },
  ];
}

function teacherProblems(teacher: unknown, { model, others }: Setting): Problem[] {
  if (typeof teacher !== 'string' || teacher === 'original') return [];
  const description = others.get(teacher);
  const path = '/teacher';
  if (!description) return [{ code: 'not-found', path, message: `there is no model "${teacher}"` }];
  const reasons = description.untrainable
    .map(({ node, operator, reason }) => `node "${node}" (${operator}): ${reason}`)
    .join('; ');
  const runs: Problem[] = description.trainable
    ? []
    : [
        {
          code: 'model-not-trainable',
          path,
          message: `the teacher cannot be run while training${reasons ? `: ${reasons}` : ''}`,
        },
      ];
  return [
    ...runs,
    ...mismatches('input', description.inputs, model.inputs, path),
    ...mismatches('output', description.outputs, model.outputs, path),
  ];
}

type Tensors = ModelDescription['inputs'];

/**
 * Teacher and student must take the same inputs and give outputs of the same sizes. Pairs them by name if all names
 * agree, else by order.
 */
function mismatches(kind: 'input' | 'output', teacher: Tensors, student: Tensors, path: string): Problem[] {
  if (teacher.length !== student.length)
    return [
      {
        code: 'shape-mismatch',
        path,
        message: `the teacher has ${teacher.length} ${kind}(s), the model ${student.length}`,
      },
    ];
  return student.flatMap((mine, i) => {
    const theirs = teacher.find(({ name }) => name === mine.name) ?? elementAt(teacher, i, 'tensor of the teacher');
    const fit =
      theirs.shape.length === mine.shape.length &&
      theirs.shape.every((size, axis) => size === null || mine.shape[axis] === null || size === mine.shape[axis]);
    return fit
      ? []
      : [
          {
            code: 'shape-mismatch' as const,
            path,
            message:
              `the teacher's ${kind} "${theirs.name}" has shape ${text(theirs.shape)}, ` +
              `the model's "${mine.name}" ${text(mine.shape)}`,
          },
        ];
  });
}

const text = (shape: readonly (number | null)[]) => `[${shape.map((size) => size ?? '?').join(', ')}]`;
