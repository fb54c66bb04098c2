import { expect, it } from 'vitest';
import type { Augmentation } from '../../../../contracts/augmentation.ts';
import type { DatasetDescription } from '../../../../contracts/dataset.ts';
import type { ModelDescription } from '../../../../contracts/model.ts';
import { augmentationProblems } from './problems.ts';

type Sizes = (number | null)[];

const model = (shape: Sizes, dtype = 'float32'): ModelDescription => ({
  format: 'onnx',
  parameters: 1,
  macs: 1,
  inputs: [{ name: 'x', dtype, shape }],
  outputs: [{ name: 'y', dtype: 'float32', shape: [null, 2] }],
  opset: 17,
  operators: {},
  trainable: true,
  untrainable: [],
  warnings: [],
});
const dataset = (
  dtype: string,
  shape: Sizes,
  target: DatasetDescription['target'] = { kind: 'classes', classes: 2 },
): DatasetDescription => ({
  format: 'npz',
  samples: 10,
  splits: { train: 9, validation: 0, test: 1 },
  inputs: [{ name: 'x', dtype, shape }],
  target,
});
const images = dataset('uint8', [8, 8, 3]);
const imageModel = model([null, 3, 8, 8]);
const table = dataset('float32', [5]);
const maps: DatasetDescription['target'] = { kind: 'values', classes: null, shape: [8, 8] };

it.each<[string, Augmentation[], ModelDescription, DatasetDescription]>([
  [
    'images of every kind',
    [{ kind: 'flip' }, { kind: 'colour' }, { kind: 'cutout' }, { kind: 'mixup' }],
    imageModel,
    images,
  ],
  ["float images in the model's order", [{ kind: 'rotate' }], imageModel, dataset('float32', [3, 8, 8])],
  ['a table', [{ kind: 'noise' }, { kind: 'scale' }, { kind: 'mixup' }], model([null, 5]), table],
  ['a series', [{ kind: 'scale' }], model([null, 20, 5]), dataset('float32', [20, 5])],
  ['colour with targets of pixels', [{ kind: 'colour' }], imageModel, dataset('uint8', [8, 8, 3], maps)],
])('accepts %s', (_name, augment, of, data) => {
  expect(augmentationProblems(augment, of, data)).toEqual([]);
});

it.each<[Augmentation, ModelDescription, DatasetDescription, RegExp]>([
  [{ kind: 'flip' }, model([null, 5]), table, /^flip changes images, and the samples are float32 \[5\]; use noise/],
  [{ kind: 'noise' }, imageModel, images, /^noise changes series and tables, and the samples are images; use flip/],
  [{ kind: 'noise' }, model([null, 5], 'int64'), dataset('int64', [5]), /^noise changes floats/],
  [
    { kind: 'mixup' },
    model([null, 5], 'int64'),
    dataset('int64', [5]),
    /^mixup mixes floats, and model input "x" takes int64/,
  ],
  [{ kind: 'colour' }, imageModel, dataset('float32', [3, 8, 8]), /^colour needs uint8 images .* store them as uint8/],
  [{ kind: 'rotate' }, imageModel, dataset('uint8', [8, 8, 3], maps), /^rotate moves the pixels .* targets \[8, 8\]/],
])('refuses %j', (item, of, data, message) => {
  expect(augmentationProblems([item], of, data)).toEqual([
    { path: '/loader/augment/0', message: expect.stringMatching(message) as unknown },
  ]);
});

it('refuses a second mixup', () => {
  expect(augmentationProblems([{ kind: 'mixup' }, { kind: 'mixup' }], imageModel, images)).toEqual([
    { path: '/loader/augment/1', message: 'mixup is in the list twice' },
  ]);
});
