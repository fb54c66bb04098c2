/** Checks at submission whether augmentations fit the samples and targets of a dataset, from descriptions alone. */
import type { Augmentation } from '../../../../contracts/augmentation.ts';
import type { DatasetDescription } from '../../../../contracts/dataset.ts';
import type { Transform } from '../../../../contracts/job-request.ts';
import type { ModelDescription, TensorDescription } from '../../../../contracts/model.ts';
import type { ErrorDetail } from '../../../../errors.ts';
import { pairInputs, planInput } from '../../layout.ts';
import { storageDtype } from '../../transform.ts';
import { openImageLayout, type OpenImageLayout } from '../image-layout.ts';
import { IMAGE_KINDS, VALUE_KINDS } from './defaults.ts';

interface Sample {
  readonly sample: TensorDescription;
  readonly input: TensorDescription;
  /** null: no image. */
  readonly image: OpenImageLayout | null;
}

/** Kinds that move what a pixel shows to another place. */
const MOVING: ReadonlySet<string> = new Set(['flip', 'crop', 'shift', 'rotate']);

const shapeText = (shape: readonly (number | null)[]) => `[${shape.map((size) => size ?? '?').join(', ')}]`;

/** Paths are those of the job request. Empty where the dataset does not fit the model, which is another problem. */
export function augmentationProblems(
  augment: readonly Augmentation[],
  model: ModelDescription,
  dataset: DatasetDescription,
  transform: Transform = {},
): ErrorDetail[] {
  const samples = plannedSamples(model, dataset, transform);
  if (!samples) return [];
  return augment.flatMap((item, index) => {
    const message = problemOf(item, samples, dataset, augment.slice(0, index));
    return message === null ? [] : [{ path: `/loader/augment/${index}`, message: `${item.kind} ${message}` }];
  });
}

function plannedSamples(
  model: ModelDescription,
  dataset: DatasetDescription,
  transform: Transform,
): readonly Sample[] | null {
  const pairs = pairInputs(dataset.inputs, model.inputs);
  const samples = pairs?.flatMap(([sample, input]): Sample[] => {
    const plan = planInput({ sample, input, transform, resizable: dataset.format === 'images' });
    return plan ? [{ sample, input, image: openImageLayout({ stored: sample, plan, input }) }] : [];
  });
  return samples && samples.length === pairs?.length ? samples : null;
}

/** What follows the kind in a sentence; null: it fits. */
function problemOf(
  { kind }: Augmentation,
  samples: readonly Sample[],
  { target }: DatasetDescription,
  earlier: readonly Augmentation[],
): string | null {
  const shapes = samples.map(({ sample }) => `${sample.dtype} ${shapeText(sample.shape)}`).join(' and ');
  const images = samples.filter(({ image }) => image !== null);
  if (IMAGE_KINDS.has(kind) && images.length === 0)
    return `changes images, and the samples are ${shapes}; use noise, scale or mixup, or leave it out`;
  if (VALUE_KINDS.has(kind) && !samples.some(({ image, input }) => !image && isFloat(input)))
    return images.length > 0
      ? `changes series and tables, and the samples are images; use flip, crop, shift, rotate, colour or cutout`
      : `changes floats, and the model takes whole numbers; leave it out`;
  if (MOVING.has(kind) && (target.shape ?? []).filter((size) => size > 1).length > 1)
    return (
      `moves the pixels of the samples, and the targets ${shapeText(target.shape ?? [])} would stay where they are; ` +
      'use colour or cutout, or leave it out'
    );
  if (kind === 'colour') return colourProblem(images);
  return kind === 'mixup' ? mixupProblem(samples, target.kind, earlier) : null;
}

const isFloat = ({ dtype, shape }: TensorDescription): boolean => storageDtype(dtype) === 'float32' && shape.length > 0;

function colourProblem(images: readonly Sample[]): string | null {
  const other = images.find(({ sample, image }) => sample.dtype !== 'uint8' || ![1, 3].includes(image?.channels ?? 0));
  if (!other) return null;
  return (
    `needs uint8 images of 1 or 3 channels, with values 0 to 255; "${other.sample.name}" holds ` +
    `${other.sample.dtype} ${shapeText(other.sample.shape)}; store them as uint8 and scale them by transform.scale`
  );
}

function mixupProblem(samples: readonly Sample[], target: string, earlier: readonly Augmentation[]): string | null {
  if (earlier.some(({ kind }) => kind === 'mixup')) return 'is in the list twice';
  const whole = samples.find(({ input }) => input.shape.length > 0 && !isFloat(input));
  if (whole) return `mixes floats, and model input "${whole.input.name}" takes ${whole.input.dtype}; leave it out`;
  if (['classes', 'values', 'none'].includes(target)) return null;
  return `mixes one class or one set of values a sample, and the targets are ${target}; leave it out`;
}
