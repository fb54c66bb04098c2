/** One stored sample -> one row of an input of the model: resized, changed at random, scaled, in the model's order. */
import { elementCount, type ArrayData } from '../array-store.ts';
import { seededNormal, seededRandom } from '../random.ts';
import { resizeImages } from '../resize.ts';
import { affineOf, sampleWriter, type Affine, type SampleWriter } from '../transform.ts';
import type { Transform } from '../../../contracts/job-request.ts';
import type { Augmentations } from './augment/defaults.ts';
import { changeImage } from './augment/images.ts';
import type { Pixels } from './augment/pixels.ts';
import { changeValues } from './augment/values.ts';
import type { RowForm } from './memory.ts';
import { imageLayout, type ImageLayout } from './image-layout.ts';
import type { PlannedInput, SamplePlan } from './plan.ts';

export interface InputMaker extends RowForm {
  readonly name: string;
  /** Name of the dataset's input. */
  readonly from: string;
  /** The model takes one number for the whole batch. */
  readonly isShared: boolean;
  /** Fills `row`. @param sample number in the split: with `epoch`, what its random changes are drawn from */
  make(stored: ArrayData, row: ArrayData, sample: number, epoch: number): void;
}

export interface MakerSettings {
  readonly seed: number;
  readonly transform: Transform;
  /** null: samples are not changed. */
  readonly augment: Augmentations | null;
}

export function inputMakers({ inputs }: SamplePlan, settings: MakerSettings): InputMaker[] {
  const affine = affineOf(settings.transform);
  const scaleImagesOnly = inputs.some(({ plan }) => plan.kind === 'image');
  return inputs.map((planned, number) => {
    const { input, plan } = planned;
    const isScaled = input.shape.length > 0 && (!scaleImagesOnly || plan.kind === 'image');
    return inputMaker(planned, settings, isScaled ? affine : null, number);
  });
}

function inputMaker(planned: PlannedInput, settings: MakerSettings, affine: Affine | null, number: number): InputMaker {
  const { input, from } = planned;
  const resize = resizer(planned);
  const writer = sampleWriter(resize.form, planned.plan, input.dtype, affine);
  const image = imageLayout(planned);
  const change = image
    ? imageChange(image, writer, settings, affine)
    : { before: (stored: ArrayData) => stored, after: valueChange(writer, settings, number) };
  return {
    name: input.name,
    from,
    dtype: writer.dtype,
    shape: writer.shape,
    isShared: input.shape.length === 0,
    make(stored, row, sample, epoch) {
      writer.write(change.before(resize.run(stored), sample, epoch), row);
      change.after(row, sample, epoch);
    },
  };
}

/** Images of another size are brought to the model's before anything else. */
function resizer({ stored, plan }: PlannedInput) {
  const { size: [height, width] = [null, null], channels } = plan.kind === 'image' ? plan : { channels: 1 };
  const form =
    plan.kind === 'image' && stored.shape.length >= 2
      ? { dtype: stored.dtype, shape: [height ?? stored.shape[0]!, width ?? stored.shape[1]!, channels] }
      : stored;
  const isSame = elementCount(form.shape) === elementCount(stored.shape) && form.shape[0] === stored.shape[0];
  return {
    form,
    run(data: ArrayData): ArrayData {
      if (isSame) return data;
      return resizeImages({ dtype: stored.dtype, shape: [1, ...stored.shape], data }, channels, [height, width]).data;
    },
  };
}

type Change = (values: ArrayData, sample: number, epoch: number) => void;

function valueChange({ dtype, shape }: SampleWriter, { seed, augment }: MakerSettings, input: number): Change {
  if (!augment || augment.values.length === 0 || dtype !== 'float32') return () => undefined;
  const channels = Math.max(1, shape.at(-1) ?? 1);
  return (row, sample, epoch) =>
    changeValues(row as Float32Array, channels, augment.values, (stream) =>
      seededNormal(seed, epoch, sample, stream, input + 1),
    );
}

function imageChange(
  layout: ImageLayout,
  writer: SampleWriter,
  { seed, augment }: MakerSettings,
  affine: Affine | null,
): { before(stored: ArrayData, sample: number, epoch: number): ArrayData; after: Change } {
  const after = () => undefined;
  if (!augment || augment.image.length === 0) return { before: (stored) => stored, after };
  const zero = zeros(affine);
  const before = (stored: ArrayData, sample: number, epoch: number): ArrayData => {
    const draw = (stream: number) => seededRandom(seed, epoch, sample, stream);
    const { data } = changeImage(pixelsOf(stored, layout), augment.image, draw, zero);
    return storedAgain(data, layout, writer.dtype === 'float32' ? null : stored);
  };
  return { before, after };
}

/** By channel: the value that the model is given as 0. */
function zeros(affine: Affine | null): number[] {
  return affine ? [...affine.scale].map((scale, c) => -affine.offset[c]! / scale) : [0];
}

function pixelsOf(stored: ArrayData, layout: ImageLayout): Pixels {
  const { height, width, channels, isChannelsFirst } = layout;
  const data =
    stored instanceof Uint8Array || stored instanceof Float32Array ? stored : Float32Array.from(stored, Number);
  return { data: isChannelsFirst ? transposed(data, channels, height * width) : data, height, width, channels };
}

/** @param like the result is whole numbers of this type; null: it may be floats */
function storedAgain(
  data: Pixels['data'],
  { height, width, channels, isChannelsFirst }: ImageLayout,
  like: ArrayData | null,
): ArrayData {
  const ordered = isChannelsFirst ? transposed(data, height * width, channels) : data;
  if (!like || ordered.constructor === like.constructor) return ordered;
  const whole = like.slice();
  for (let i = 0; i < whole.length; i++)
    whole[i] = whole instanceof BigInt64Array ? BigInt(Math.round(ordered[i]!)) : Math.round(ordered[i]!);
  return whole;
}

/** [rows, columns] -> [columns, rows]. */
function transposed<T extends Pixels['data']>(data: T, rows: number, columns: number): T {
  const result = (data instanceof Uint8Array ? new Uint8Array(data.length) : new Float32Array(data.length)) as T;
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) result[column * rows + row] = data[row * columns + column]!;
  return result;
}
