/** Checks at submission whether a dataset fits a model, from the two descriptions alone. */
import type { DatasetDescription } from '../../contracts/dataset.ts';
import type { Transform } from '../../contracts/job-request.ts';
import type { ModelDescription, TensorDescription } from '../../contracts/model.ts';
import { LatheError, type ErrorDetail } from '../../errors.ts';
import { pairInputs, planInput, type InputPlan } from './layout.ts';

const shapeText = (shape: readonly (number | null)[]) => `[${shape.map((size) => size ?? '?').join(', ')}]`;

/**
 * Indices that the model's tables do not have; empty where all are in range. ONNX counts negative ones from the end.
 * Paths are those of the job request.
 */
export function indexProblems(model: ModelDescription, dataset: DatasetDescription): ErrorDetail[] {
  const pairs = pairInputs(dataset.inputs, model.inputs) ?? [];
  return pairs.flatMap(([{ name }, input]) => {
    const rows = input.tableRows;
    const range = dataset.ranges?.find((each) => each.input === name);
    if (rows === undefined || !range || !/int/.test(input.dtype)) return [];
    const wrong = range.max.value >= rows ? range.max : range.min.value < -rows ? range.min : null;
    if (!wrong) return [];
    const split = wrong.split === 'train' ? '' : ` of the ${wrong.split} split`;
    return [
      {
        path: '/dataset',
        message:
          `dataset input "${name}" holds ${wrong.value} in sample ${wrong.sample}${split}; model input "${input.name}" ` +
          `takes indices 0..${rows - 1} (a table of ${rows} rows)`,
      },
    ];
  });
}

/** All mismatches; empty where the dataset fits. Paths are those of the job request. */
export function datasetProblems(
  model: ModelDescription,
  dataset: DatasetDescription,
  transform: Transform = {},
): ErrorDetail[] {
  const pairs = pairInputs(dataset.inputs, model.inputs);
  if (!pairs) return [unpaired(model, dataset), ...targetProblems(model, dataset)];
  const inputs = pairs.flatMap(([sample, input]) => inputProblems(sample, input, dataset, transform));
  return [...inputs, ...batchProblems(model.inputs), ...targetProblems(model, dataset)];
}

/** A dataset gives every input the same number of rows, so their first axes must agree in size. */
function batchProblems(inputs: readonly TensorDescription[]): ErrorDetail[] {
  const fixed = inputs.flatMap(({ name, shape: [first] }) => (typeof first === 'number' ? [{ name, first }] : []));
  const [one] = fixed;
  const other = fixed.find(({ first }) => first !== one?.first);
  if (!one || !other) return [];
  return [
    {
      path: '/dataset',
      message:
        `the first axis of model input "${one.name}" has ${one.first} entries, that of "${other.name}" ` +
        `${other.first}: it is not the batch, and a dataset gives rows of a batch`,
    },
  ];
}

/** Throws `shape-mismatch` with every mismatch, names and sizes included. */
export function checkDatasetFits(
  model: ModelDescription,
  dataset: DatasetDescription,
  transform: Transform = {},
): void {
  const problems = datasetProblems(model, dataset, transform);
  if (problems.length > 0)
    throw new LatheError(
      'shape-mismatch',
      `The dataset does not fit the model: ${problems.map(({ message }) => message).join('; ')}`,
      problems,
    );
}

function unpaired(model: ModelDescription, dataset: DatasetDescription): ErrorDetail {
  const names = (tensors: readonly TensorDescription[]) => tensors.map(({ name }) => `"${name}"`).join(', ') || 'none';
  return {
    path: '/dataset',
    message:
      `the model takes ${model.inputs.length} input(s) (${names(model.inputs)}), ` +
      `the dataset gives ${dataset.inputs.length} (${names(dataset.inputs)})`,
  };
}

function inputProblems(
  sample: TensorDescription,
  input: TensorDescription,
  dataset: DatasetDescription,
  transform: Transform,
): ErrorDetail[] {
  const plan = planInput({ sample, input, transform, resizable: dataset.format === 'images' });
  if (!plan) {
    const resized = transform.resize ? ` (resized to ${shapeText(transform.resize)})` : '';
    const message =
      `dataset input "${sample.name}" has samples of shape ${shapeText(sample.shape)}${resized}, ` +
      `model input "${input.name}" takes ${shapeText(input.shape)} (batch first)`;
    return [{ path: '/dataset', message }];
  }
  if (plan.kind === 'image' && plan.size.includes(null)) {
    return [
      {
        path: '/transform/resize',
        message:
          `the images differ in size and model input "${input.name}" ${shapeText(input.shape)} leaves it open; ` +
          'give [height, width]',
      },
    ];
  }
  return channelProblems(sample, plan, transform);
}

/** Null where the model leaves it open. */
function channelCount(plan: InputPlan): number | null {
  if (plan.kind === 'image') return plan.channels;
  return plan.channelAxis === null ? 1 : (plan.shape[plan.channelAxis] ?? null);
}

function channelProblems(sample: TensorDescription, plan: InputPlan, transform: Transform): ErrorDetail[] {
  const channels = channelCount(plan);
  return (['mean', 'std'] as const).flatMap((field) => {
    const given = transform[field]?.length ?? 1;
    if (given === 1 || channels === null || given === channels) return [];
    return [
      {
        path: `/transform/${field}`,
        message: `has ${given} values, dataset input "${sample.name}" has ${channels} channel(s)`,
      },
    ];
  });
}

/**
 * The output that targets are compared with: the first float output, because some classifiers return an integer label
 * before their scores.
 */
export function predictionOutput<T extends { readonly dtype: string }>(outputs: readonly T[]): T | undefined {
  return outputs.find(({ dtype }) => /^b?float/.test(dtype)) ?? outputs[0];
}

function targetProblems(model: ModelDescription, { target }: DatasetDescription): ErrorDetail[] {
  const output = predictionOutput(model.outputs);
  if (!output || target.kind === 'none') return [];
  return target.kind === 'classes' ? classProblems(output, target) : valueProblems(output, target.shape ?? []);
}

/** Scores are [n, classes] (axes of size 1 aside), or one score per sample for two classes. */
function classProblems(output: TensorDescription, target: DatasetDescription['target']): ErrorDetail[] {
  const sizes = output.shape.slice(1).filter((size) => size !== 1);
  const [scores = 1] = sizes;
  // integers: labels
  if (sizes.length > 1 || scores === null || target.classes === null || !output.dtype.includes('float')) return [];
  const classes = target.classes;
  const tooMany = scores === 1 ? classes > 2 : classes > scores;
  // Folder and text classes are numbered by their order, so a missing one shifts the others; integers are the index.
  const shifted = target.names !== undefined && scores !== 1 && classes !== scores;
  if (!tooMany && !shifted) return [];
  return [
    {
      path: '/dataset',
      message:
        `the dataset has ${classes} classes${target.names ? '' : ` (labels up to ${classes - 1})`}, ` +
        `model output "${output.name}" has ${scores} score(s)${
          scores === 1 && !target.names ? '; if they are numbers to predict, say target.kind "values"' : ''
        }`,
    },
  ];
}

function valueProblems(output: TensorDescription, shape: readonly number[]): ErrorDetail[] {
  const squeezed = (sizes: readonly (number | null)[]) => sizes.filter((size) => size !== 1);
  const [gives, takes] = [squeezed(output.shape.slice(1)), squeezed(shape)];
  const agree = gives.length === takes.length && gives.every((size, i) => size === null || size === takes[i]);
  if (agree) return [];
  return [
    {
      path: '/dataset',
      message:
        `target values have shape ${shapeText(shape)}, ` +
        `model output "${output.name}" gives ${shapeText(output.shape)} (batch first)`,
    },
  ];
}
