/** How each input of the model is made from stored samples; plain data, so that workers are given it as it is. */
import type { Transform } from '../../../contracts/job-request.ts';
import type { TensorDescription } from '../../../contracts/model.ts';
import { LatheError } from '../../../errors.ts';
import type { HostArray, RawSamples } from '../dataset.ts';
import { pairInputs, planInput, type InputPlan } from '../layout.ts';

/** One sample as stored. */
export type StoredForm = Pick<HostArray, 'dtype' | 'shape'>;

export interface PlannedInput {
  /** Name of the dataset's input. */
  readonly from: string;
  readonly stored: StoredForm;
  readonly input: TensorDescription;
  readonly plan: InputPlan;
}

export interface SamplePlan {
  readonly inputs: readonly PlannedInput[];
  /** One target as stored; null: unlabelled. */
  readonly target: StoredForm | null;
}

export interface PlanOptions {
  readonly transform: Transform;
  /** The model's inputs, batch axis first. */
  readonly inputs: readonly TensorDescription[];
}

/** @throws LatheError `shape-mismatch` where the samples do not fit the model's inputs */
export function planSamples(raw: RawSamples, options: PlanOptions): SamplePlan {
  const samples = [...raw.inputs].map(
    ([name, array]): TensorDescription => ({ name, dtype: array.dtype, shape: array.shape.slice(1) }),
  );
  const pairs = pairInputs(samples, options.inputs);
  if (!pairs)
    throw new LatheError(
      'shape-mismatch',
      `the model takes ${options.inputs.length} input(s), the dataset gives ${samples.length}, or their names differ`,
    );
  return {
    inputs: pairs.map(([sample, input]) => planned(sample, input, raw, options)),
    target: raw.target && storedForm(raw.target),
  };
}

function planned(
  sample: TensorDescription,
  input: TensorDescription,
  raw: RawSamples,
  { transform }: PlanOptions,
): PlannedInput {
  const plan = planInput({ sample, input, transform, resizable: false });
  const array = raw.inputs.get(sample.name);
  if (plan && array) return { from: sample.name, stored: storedForm(array), input, plan };
  throw new LatheError(
    'shape-mismatch',
    `samples "${sample.name}" of shape [${sample.shape.join(', ')}] do not fit ` +
      `model input "${input.name}" [${input.shape.map((size) => size ?? '?').join(', ')}]`,
  );
}

const storedForm = ({ dtype, shape }: HostArray): StoredForm => ({ dtype, shape: shape.slice(1) });

/** The size of decoded images: `transform.resize`, or that of the model's only input where it is an image. */
export function imageSizeOf({ transform, inputs }: PlanOptions): readonly [number, number] | null {
  if (transform.resize) return transform.resize as [number, number];
  const shape = (inputs.length === 1 && inputs[0]?.shape) || [];
  if (shape.length !== 4) return null;
  const channelsLast = (shape[3] === 1 || shape[3] === 3) && shape[1] !== 1 && shape[1] !== 3;
  const [height, width] = channelsLast ? [shape[1], shape[2]] : [shape[2], shape[3]];
  return height && width ? [height, width] : null;
}
