/**
 * Stored samples -> a model's input: resized, in the model's order of axes, (x * scale - mean) / std per channel, in
 * the model's type.
 */
import type { Transform } from '../../contracts/job-request.ts';
import { LatheError } from '../../errors.ts';
import { elementCount, type ArrayData, type ArrayDtype } from './array-store.ts';
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

/** Writes samples in the form of a model's input, one at a time. */
export interface SampleWriter {
  readonly dtype: ArrayDtype;
  /** Of one sample as the model takes it. */
  readonly shape: readonly number[];
  /** @param sample as stored; @param target room for the sample alone */
  write(sample: ArrayData, target: ArrayData): void;
}

/**
 * @param stored type and shape of one sample as stored
 * @param affine applied to float results only
 */
export function sampleWriter(
  stored: Pick<HostArray, 'dtype' | 'shape'>,
  plan: InputPlan,
  onnxDtype: string,
  affine: Affine | null,
): SampleWriter {
  const dtype = storageDtype(onnxDtype);
  const scaling = dtype === 'float32' ? affine : null;
  return plan.kind === 'image' ? imageWriter(stored, plan, dtype, scaling) : arrayWriter(stored, plan, dtype, scaling);
}

function imageWriter(
  stored: Pick<HostArray, 'dtype' | 'shape'>,
  plan: Extract<InputPlan, { kind: 'image' }>,
  dtype: ArrayDtype,
  affine: Affine | null,
): SampleWriter {
  const { channels, order } = plan;
  const [height = 1, width = 1] = [plan.size[0] ?? stored.shape[0], plan.size[1] ?? stored.shape[1]];
  const area = height * width;
  const copy = channelCopier(affine);
  const shape = {
    'channels-first': [channels, height, width],
    'channels-last': [height, width, channels],
    flat: [area * channels],
  }[order];
  return {
    dtype,
    shape: plan.withoutChannelAxis ? [height, width] : shape,
    write(sample, target) {
      const image: HostArray = { dtype: stored.dtype, shape: [1, ...stored.shape], data: sample };
      const { data } = resizeImages(image, channels, [height, width]);
      for (let c = 0; c < channels; c++) {
        const to = order === 'channels-first' ? { at: c * area, step: 1 } : { at: c, step: channels };
        copy(c, { data, at: c, step: channels }, { data: target, ...to }, area);
      }
    },
  };
}

/** Every `step`th value from `at` on. */
interface Strided {
  readonly data: ArrayData;
  readonly at: number;
  readonly step: number;
}

type ChannelCopier = (channel: number, from: Strided, to: Strided, count: number) => void;

/** Copies values of a channel, scaled. Bytes to floats go through a table, computed once for each channel. */
function channelCopier(affine: Affine | null): ChannelCopier {
  const factor = (values: Float64Array | undefined, channel: number, without: number) =>
    values ? values[values.length === 1 ? 0 : channel]! : without;
  const tables: Float32Array[] = [];
  return (channel, from, to, count) => {
    const scale = factor(affine?.scale, channel, 1);
    const offset = factor(affine?.offset, channel, 0);
    if (from.data instanceof Uint8Array && to.data instanceof Float32Array) {
      const table = (tables[channel] ??= Float32Array.from({ length: 256 }, (_, value) => value * scale + offset));
      lookUp(from.data, from, table, to.data, to, count);
    } else if (from.data instanceof Float32Array && to.data instanceof Float32Array) {
      scaleFloats(from.data, from, { scale, offset }, to.data, to, count);
    } else copyValues(from, affine && { scale, offset }, to, count);
  };
}

type Steps = Pick<Strided, 'at' | 'step'>;

function lookUp(
  source: Uint8Array,
  from: Steps,
  table: Float32Array,
  target: Float32Array,
  to: Steps,
  count: number,
): void {
  for (let i = 0; i < count; i++) target[to.at + i * to.step] = table[source[from.at + i * from.step]!]!;
}

interface Scaling {
  readonly scale: number;
  readonly offset: number;
}

function scaleFloats(
  source: Float32Array,
  from: Steps,
  { scale, offset }: Scaling,
  target: Float32Array,
  to: Steps,
  count: number,
): void {
  for (let i = 0; i < count; i++) target[to.at + i * to.step] = source[from.at + i * from.step]! * scale + offset;
}

function copyValues(from: Strided, scaling: Scaling | null, to: Strided, count: number): void {
  const [source, target] = [from.data, to.data];
  if (!scaling && source.constructor === target.constructor) {
    for (let i = 0; i < count; i++) target[to.at + i * to.step] = source[from.at + i * from.step]!;
    return;
  }
  const { scale, offset } = scaling ?? { scale: 1, offset: 0 };
  const convert = converter(target);
  for (let i = 0; i < count; i++)
    target[to.at + i * to.step] = convert(Number(source[from.at + i * from.step]) * scale + offset);
}

const converter = (target: ArrayData): ((value: number) => number | bigint) =>
  target instanceof BigInt64Array ? (value) => BigInt(Math.trunc(value)) : (value) => value;

/** Arrays keep their order; channels lie along `channelAxis` of the sample. */
function arrayWriter(
  stored: Pick<HostArray, 'dtype' | 'shape'>,
  plan: Extract<InputPlan, { kind: 'array' }>,
  dtype: ArrayDtype,
  affine: Affine | null,
): SampleWriter {
  const shape = resolve(plan.shape, stored.shape);
  const axis = plan.channelAxis;
  const perChannel = axis !== null && affine !== null && affine.scale.length !== 1;
  const channels = perChannel ? (shape[axis] ?? 1) : 1;
  const inner = channels === 1 ? elementCount(stored.shape) : elementCount(shape.slice((axis ?? 0) + 1));
  const copy = channelCopier(affine);
  return {
    dtype,
    shape,
    write(sample, target) {
      for (let run = 0; run * inner < target.length; run++) {
        const at = { at: run * inner, step: 1 };
        copy(run % channels, { data: sample, ...at }, { data: target, ...at }, inner);
      }
    },
  };
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
