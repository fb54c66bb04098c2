/** Augmentations as asked for -> with their defaults, in a list per what they change. */
import { Value } from 'typebox/value';
import { AUGMENTATIONS, type Augmentation, type AugmentationKind } from '../../../../contracts/augmentation.ts';

type Complete<T> = { readonly [K in keyof T]-?: Exclude<T[K], undefined> };
type OfKind<K extends AugmentationKind> = Complete<Extract<Augmentation, { kind: K }>>;

export type ImageKind = 'flip' | 'crop' | 'shift' | 'rotate' | 'colour' | 'cutout';
export type ValueKind = 'noise' | 'scale';

/** `stream`: its place in the job's list, which keeps the random numbers of one from those of another. */
export type Numbered<T> = T & { readonly stream: number };
export type ImageAugmentation = { [K in ImageKind]: Numbered<OfKind<K>> }[ImageKind];
export type ValueAugmentation = { [K in ValueKind]: Numbered<OfKind<K>> }[ValueKind];

export interface Augmentations {
  readonly image: readonly ImageAugmentation[];
  readonly values: readonly ValueAugmentation[];
  /** Of Beta(alpha, alpha); null: samples are not mixed. */
  readonly mixupAlpha: number | null;
}

export const IMAGE_KINDS: ReadonlySet<string> = new Set<ImageKind>([
  'flip',
  'crop',
  'shift',
  'rotate',
  'colour',
  'cutout',
]);
export const VALUE_KINDS: ReadonlySet<string> = new Set<ValueKind>(['noise', 'scale']);

export function completeAugmentations(asked: readonly Augmentation[]): Augmentations {
  const complete = asked.map((item, stream) => ({
    ...(Value.Default(AUGMENTATIONS[item.kind], Value.Clone(item)) as Augmentation),
    stream,
  }));
  const mixup = complete.find(({ kind }) => kind === 'mixup') as OfKind<'mixup'> | undefined;
  return {
    image: complete.filter(({ kind }) => IMAGE_KINDS.has(kind)) as unknown as ImageAugmentation[],
    values: complete.filter(({ kind }) => VALUE_KINDS.has(kind)) as unknown as ValueAugmentation[],
    mixupAlpha: mixup?.alpha ?? null,
  };
}
