/**
 * Stored samples -> a model's input: resized, in the model's order of axes, (x * scale - mean) / std per channel, in
 * the model's type.
 */
import type { Transform } from '../../contracts/job-request.ts';
import { LatheError } from '../../errors.ts';
import { allocate, elementCount, type ArrayData, type ArrayDtype } from './array-store.ts';
import type { HostArray } from './dataset.ts';
import type { InputPlan } from './layout.ts';
import { resizeImages } from './resize.ts';

/** x -> x * scale[c] + offset[c]; one entry, or one per channel. */
export interface Affine {
  readonly scale: Float64Array;
  readonly offset: Float64Array;
}

/** Null where the transform changes nothing. */
export function affineOf({ scale = 1, mean = [0], std = [1] }: Transform): Affine | null {
  const channels = Math.max(mean.length, std.length);
  const at = (values: readonly number[], c: number) => values[values.length === 1 ? 0 : c] ?? NaN;
  const affine = {
    scale: Float64Array.from({ length: channels }, (_, c) => scale / at(std, c)),
    offset: Float64Array.from({ length: channels }, (_, c) => -at(mean, c) / at(std, c)),
  };
  return affine.scale.every((value) => value === 1) && affine.offset.every((value) => value === 0) ? null : affine;
}

const WHOLE: ReadonlySet<string> = new Set(['int64', 'int32', 'uint8', 'bool']);
/** The array type that carries an ONNX element type; other integers travel as int32, floats as float32. */
export function storageDtype(onnxDtype: string): ArrayDtype {
  if (WHOLE.has(onnxDtype)) return onnxDtype as ArrayDtype;
  return /^u?int(8|16)$/.test(onnxDtype) ? 'int32' : /^uint(32|64)$/.test(onnxDtype) ? 'int64' : 'float32';
}

/** `samples`: [n, ...] as stored. `affine` is applied to float results only. */
export function toModelInput(samples: HostArray, plan: InputPlan, onnxDtype: string, affine: Affine | null): HostArray {
  const dtype = storageDtype(onnxDtype);
  const scaling = dtype === 'float32' ? affine : null;
  return plan.kind === 'image' ? imageInput(samples, plan, dtype, scaling) : arrayInput(samples, plan, dtype, scaling);
}

function imageInput(
  samples: HostArray,
  plan: Extract<InputPlan, { kind: 'image' }>,
  dtype: ArrayDtype,
  affine: Affine | null,
): HostArray {
  const resized = resizeImages(samples, plan.channels, plan.size);
  const [n, height, width] = resized.shape as [number, number, number];
  const { channels, order } = plan;
  const area = height * width;
  const data = allocate(dtype, n * area * channels);
  for (let image = 0; image < n; image++) {
    const base = image * area * channels;
    for (let c = 0; c < channels; c++) {
      const from = base + c;
      const to = order === 'channels-first' ? base + c * area : from;
      copyScaled(resized.data, from, channels, data, to, order === 'channels-first' ? 1 : channels, area, affine, c);
    }
  }
  const shape = {
    'channels-first': [n, channels, height, width],
    'channels-last': [n, height, width, channels],
    flat: [n, area * channels],
  }[order];
  return { dtype, shape: plan.withoutChannelAxis ? [n, height, width] : shape, data };
}

function copyScaled(
  source: ArrayData,
  from: number,
  fromStep: number,
  target: ArrayData,
  to: number,
  toStep: number,
  count: number,
  affine: Affine | null,
  channel: number,
): void {
  if (!affine && source.constructor === target.constructor) {
    for (let i = 0; i < count; i++) target[to + i * toStep] = source[from + i * fromStep]!;
    return;
  }
  const scale = affine ? affine.scale[affine.scale.length === 1 ? 0 : channel]! : 1;
  const offset = affine ? affine.offset[affine.offset.length === 1 ? 0 : channel]! : 0;
  const convert = converter(target);
  for (let i = 0; i < count; i++)
    target[to + i * toStep] = convert(Number(source[from + i * fromStep]) * scale + offset);
}

const converter = (target: ArrayData): ((value: number) => number | bigint) =>
  target instanceof BigInt64Array ? (value) => BigInt(Math.trunc(value)) : (value) => value;

/** Arrays keep their order; channels lie along `channelAxis` of the sample. */
function arrayInput(
  samples: HostArray,
  plan: Extract<InputPlan, { kind: 'array' }>,
  dtype: ArrayDtype,
  affine: Affine | null,
): HostArray {
  const [n = 0] = samples.shape;
  const perSample = elementCount(samples.shape.slice(1));
  const sampleShape = resolve(plan.shape, samples.shape.slice(1));
  const data = allocate(dtype, n * perSample);
  const axis = plan.channelAxis;
  const perChannel = axis !== null && affine !== null && affine.scale.length !== 1;
  const channels = perChannel ? (sampleShape[axis] ?? 1) : 1;
  const inner = perChannel ? elementCount(sampleShape.slice(axis + 1)) : 1;
  if (channels === 1) copyScaled(samples.data, 0, 1, data, 0, 1, data.length, affine, 0);
  else
    for (let run = 0; run * inner < data.length; run++)
      copyScaled(samples.data, run * inner, 1, data, run * inner, 1, inner, affine, run % channels);
  return { dtype, shape: [n, ...sampleShape], data };
}

/** Open dimensions of a planned shape, from the samples' own. */
function resolve(planned: readonly (number | null)[], sample: readonly number[]): number[] {
  if (planned.length === sample.length) return [...sample];
  if (planned.every((size) => size !== null)) return [...planned];
  throw new LatheError(
    'shape-mismatch',
    `samples of shape [${sample.join(', ')}] cannot be given as [${planned.map((size) => size ?? '?').join(', ')}]`,
  );
}
