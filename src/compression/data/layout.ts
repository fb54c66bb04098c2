/**
 * Plans how a dataset's samples become a model's input, from shapes alone: the check at submission and the batches
 * share the plan.
 *
 * Image samples are [h, w] (uint8) or [h, w, c] of 1, 3 or 4 channels; models take [n, c, h, w] or [n, h, w, c].
 * Samples of other types that already have the model's shape stay as they are. Images to a model of [n, features]
 * are flattened row by row, and rows of features to an image model are folded in the model's own order.
 */
import type { TensorDescription } from '../../contracts/model.ts';
import type { Transform } from '../../contracts/job-request.ts';

type Sizes = readonly (number | null)[];

export type InputPlan =
  /**
   * `order`: channels of the model first or last; `size` [h, w] after resizing (null: whatever the samples have);
   * `withoutChannelAxis`: the model takes [n, h, w].
   */
  | {
      readonly kind: 'image';
      readonly order: 'channels-first' | 'channels-last' | 'flat';
      readonly size: readonly [number | null, number | null];
      readonly channels: number;
      readonly withoutChannelAxis?: boolean;
    }
  /** `shape`: of one sample as the model takes it; `channelAxis` of it, for mean and std per channel. */
  | { readonly kind: 'array'; readonly shape: Sizes; readonly channelAxis: number | null };

type ImagePlan = Extract<InputPlan, { kind: 'image' }>;

export interface PlanRequest {
  /** One sample of the dataset: shape without the sample axis. */
  readonly sample: TensorDescription;
  /** The model's input, batch axis first. */
  readonly input: TensorDescription;
  readonly transform: Transform;
  /**
   * Images of a folder are brought to the model's size without asking; arrays only where `transform.resize` says so.
   */
  readonly resizable: boolean;
}

const IMAGE_CHANNELS = new Set<number | null | undefined>([1, 3, 4]);

const fits = (a: Sizes, b: Sizes): boolean =>
  a.length === b.length && a.every((size, i) => size === null || b[i] === null || size === b[i]);
const known = (sizes: Sizes): sizes is readonly number[] => sizes.every((size) => size !== null);
const product = (sizes: readonly number[]): number => sizes.reduce((total, size) => total * size, 1);

/** Null where the samples do not fit the input. */
export function planInput(request: PlanRequest): InputPlan | null {
  const takes = request.input.shape.slice(1);
  const image = imageForm(request.sample);
  const asImage = () => image && planImage(image, takes, request);
  const asArray = () => (image && request.transform.resize ? null : planArray(request.sample.shape, takes));
  return request.sample.dtype === 'uint8' ? (asImage() ?? asArray()) : (asArray() ?? asImage());
}

interface ImageForm {
  readonly size: readonly [number | null, number | null];
  readonly channels: number;
}

function imageForm(sample: TensorDescription): ImageForm | null {
  const [height = null, width = null, channels = null] = sample.shape;
  if (sample.shape.length === 2 && sample.dtype === 'uint8') return { size: [height, width], channels: 1 };
  const hasChannels = sample.shape.length === 3 && channels !== null && IMAGE_CHANNELS.has(channels);
  return hasChannels ? { size: [height, width], channels } : null;
}

function planImage(image: ImageForm, takes: Sizes, { transform, resizable }: PlanRequest): InputPlan | null {
  const asked = transform.resize as [number, number] | undefined;
  const planned = (
    order: 'channels-first' | 'channels-last',
    wanted: readonly [number | null, number | null],
    channels: number | null,
  ): ImagePlan | null => {
    if (channels !== null && channels !== image.channels) return null;
    const size =
      asked ?? (resizable ? ([wanted[0] ?? image.size[0], wanted[1] ?? image.size[1]] as const) : image.size);
    return fits(size, wanted) ? { kind: 'image', order, size, channels: image.channels } : null;
  };
  const [a = null, b = null, c = null] = takes;
  if (takes.length === 3) {
    const first = planned('channels-first', [b, c], a);
    const last = planned('channels-last', [a, b], c);
    return a === null && c === image.channels ? (last ?? first) : (first ?? last);
  }
  if (takes.length === 2 && image.channels === 1) {
    // [n, h, w]: no channel axis; the same order either way
    const plan = planned('channels-last', [a, b], 1);
    return plan && { ...plan, withoutChannelAxis: true };
  }
  if (takes.length === 1) {
    const size = asked ?? image.size;
    return fits([known(size) ? product(size) * image.channels : null], takes) && known(size)
      ? { kind: 'image', order: 'flat', size, channels: image.channels }
      : null;
  }
  return null;
}

function planArray(sample: Sizes, takes: Sizes): InputPlan | null {
  const channelsLast = IMAGE_CHANNELS.has(takes[2]) && !IMAGE_CHANNELS.has(takes[0]);
  const channelAxis = takes.length === 3 && !channelsLast ? 0 : takes.length - 1;
  if (fits(sample, takes))
    return { kind: 'array', shape: sample, channelAxis: takes.length === 0 ? null : channelAxis };
  const squeezed = (sizes: Sizes) => sizes.filter((size) => size !== 1);
  if (known(sample) && fits(squeezed(sample), squeezed(takes)))
    return { kind: 'array', shape: merge(sample, takes), channelAxis: Math.max(0, channelAxis) };
  if (known(sample) && known(takes) && sample.length === 1 && product(sample) === product(takes))
    return { kind: 'array', shape: takes, channelAxis };
  return null;
}

/** The model's shape with its open dimensions filled in from the sample, axes of size 1 left aside. */
function merge(sample: readonly number[], takes: Sizes): Sizes {
  const sizes = sample.filter((size) => size !== 1);
  return takes.map((size) => (size === 1 ? 1 : (sizes.shift() ?? 1)));
}

/**
 * Which dataset input feeds which model input: by name, or the only one to the only one. null where names do not match.
 */
export function pairInputs<T extends { readonly name: string }, U extends { readonly name: string }>(
  samples: readonly T[],
  inputs: readonly U[],
): [T, U][] | null {
  if (samples.length !== inputs.length) return null;
  const [sample, input] = [samples[0], inputs[0]];
  if (samples.length === 1 && sample && input) return [[sample, input]];
  const byName = new Map(samples.map((sample) => [sample.name, sample]));
  const pairs = inputs.map((input): [T | undefined, U] => [byName.get(input.name), input]);
  return pairs.every((pair): pair is [T, U] => pair[0] !== undefined) ? pairs : null;
}
