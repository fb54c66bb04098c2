/** What clients see of an uploaded dataset. */
import { Type, type Static } from 'typebox';
import { TensorDescription } from './model.ts';

export const DATASET_FORMATS = ['npz', 'idx', 'images', 'csv', 'parquet'] as const;
export const DatasetFormat = Type.Enum(DATASET_FORMATS);
export type DatasetFormat = (typeof DATASET_FORMATS)[number];

const Extreme = Type.Object({
  value: Type.Number(),
  split: Type.Enum(['train', 'validation', 'test']),
  sample: Type.Integer({ description: 'counts from 0 in the array or table of that split' }),
});
export type Extreme = Static<typeof Extreme>;

export const InputRange = Type.Object({ input: Type.String(), min: Extreme, max: Extreme });
export type InputRange = Static<typeof InputRange>;

export const DatasetDescription = Type.Object({
  format: DatasetFormat,
  samples: Type.Integer(),
  splits: Type.Object({ train: Type.Integer(), validation: Type.Integer(), test: Type.Integer() }),
  inputs: Type.Array(TensorDescription, {
    description: 'shape without the sample axis; null: varies (images of several sizes)',
  }),
  ranges: Type.Optional(
    Type.Array(InputRange, { description: 'inputs of integers of 32 or 64 bits: the first sample of each extreme' }),
  ),
  target: Type.Object({
    kind: Type.Union([Type.Literal('classes'), Type.Literal('values'), Type.Literal('none')]),
    classes: Type.Union([Type.Integer(), Type.Null()]),
    names: Type.Optional(Type.Array(Type.String(), { description: 'class names, in index order' })),
    shape: Type.Optional(Type.Array(Type.Integer(), { description: 'shape of one target, for values' })),
  }),
});
export type DatasetDescription = Static<typeof DatasetDescription>;
