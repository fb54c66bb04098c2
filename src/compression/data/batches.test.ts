import { describe, expect, it } from 'vitest';
import type { DatasetDescription } from '../../contracts/dataset.ts';
import type { ModelDescription, TensorDescription } from '../../contracts/model.ts';
import { arrayFrom } from './array-store.ts';
import { arrayDataset } from './array-dataset.ts';
import { batchSource } from './batches.ts';
import type { Batch, Dataset } from './dataset.ts';
import { checkDatasetFits, datasetProblems } from './match.ts';
import { resizeImages } from './resize.ts';
import { stratifiedHoldOut, trainAndValidation } from './splits.ts';

/** n RGB images of 2 x 3 pixels: the value at (image, y, x, c) is image * 18 + its place. */
function rgbDataset(n: number): Dataset {
  const data = Uint8Array.from({ length: n * 18 }, (_, i) => i % 256);
  const x = arrayFrom('uint8', [n, 2, 3, 3], data);
  const y = arrayFrom(
    'int64',
    [n],
    BigInt64Array.from({ length: n }, (_, i) => BigInt(i % 3)),
  );
  return arrayDataset(
    'npz',
    new Map([
      ['train', { inputs: new Map([['x', x]]), target: y }],
      ['test', { inputs: new Map([['x', x]]), target: y }],
    ]),
    { name: 'y' },
  );
}
const input = (shape: (number | null)[], dtype = 'float32', name = 'image'): TensorDescription => ({
  name,
  dtype,
  shape,
});
const collect = async (batches: AsyncIterable<Batch>) => {
  const all: Batch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
};

describe('batches', () => {
  it("gives images in the model's order of axes, scaled per channel", async () => {
    const transform = { scale: 0.5, mean: [1, 2, 3], std: [1, 2, 4] };
    for (const shape of [
      [null, 3, 2, 3],
      [null, 2, 3, 3],
    ]) {
      const [batch] = await collect(
        batchSource(rgbDataset(1).split('test'), {
          batchSize: 4,
          shuffle: false,
          seed: 0,
          transform,
          inputs: [input(shape)],
        }).epoch(0),
      );
      const tensor = batch!.inputs.get('image')!;
      const channelsFirst = shape[1] === 3;
      expect(tensor.shape).toEqual([1, ...shape.slice(1)]);
      for (let y = 0; y < 2; y++)
        for (let x = 0; x < 3; x++)
          for (let c = 0; c < 3; c++) {
            const raw = (y * 3 + x) * 3 + c;
            const at = channelsFirst ? c * 6 + y * 3 + x : raw;
            expect(tensor.data[at]).toBeCloseTo((raw * 0.5 - [1, 2, 3][c]!) / [1, 2, 4][c]!, 6);
          }
    }
  });

  it('sees every sample once per epoch, in another seeded order each time, the last batch short', async () => {
    const source = batchSource(rgbDataset(10).split('train'), {
      batchSize: 4,
      shuffle: true,
      seed: 7,
      transform: {},
      inputs: [input([null, 18])],
    });
    expect(source.batchesPerEpoch).toBe(3);
    const orderOf = async (epoch: number) =>
      (await collect(source.epoch(epoch))).flatMap((batch) =>
        Array.from({ length: batch.size }, (_, i) => Number(batch.inputs.get('image')!.data[i * 18]) / 18),
      );
    const first = await orderOf(0);
    expect((await collect(source.epoch(0))).map(({ size }) => size)).toEqual([4, 4, 2]);
    expect([...first].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await orderOf(0)).toEqual(first);
    expect(await orderOf(1)).not.toEqual(first);
  });

  it('may be left early, with and without a batch under way', async () => {
    for (const numWorkers of [0, 2]) {
      const source = batchSource(rgbDataset(10).split('train'), {
        batchSize: 4,
        shuffle: false,
        seed: 0,
        transform: {},
        inputs: [input([null, 18])],
        numWorkers,
      });
      let seen = 0;
      for await (const _batch of source.epoch(0)) if (++seen === 1) break;
      expect(seen).toBe(1);
    }
  });

  it('keeps integer inputs whole and untransformed', async () => {
    const tokens = arrayFrom('int64', [2, 3], BigInt64Array.of(5n, 6n, 7n, 8n, 9n, 10n));
    const mask = arrayFrom('bool', [2, 3], Uint8Array.of(1, 1, 0, 1, 0, 0));
    const dataset = arrayDataset(
      'npz',
      new Map([
        [
          'train',
          {
            inputs: new Map([
              ['ids', tokens],
              ['mask', mask],
            ]),
            target: null,
          },
        ],
      ]),
      { name: 'y' },
    );
    const inputs = [input([null, null], 'int64', 'ids'), input([null, 3], 'float32', 'mask')];
    const [batch] = await collect(
      batchSource(dataset.split('test'), {
        batchSize: 2,
        shuffle: false,
        seed: 0,
        transform: { scale: 2 },
        inputs,
      }).epoch(0),
    );
    const which = batch!.inputs.get('ids')!.data[0] === 5n ? 0 : 1;
    expect([...batch!.inputs.get('ids')!.data]).toEqual(
      [
        [5n, 6n, 7n],
        [8n, 9n, 10n],
      ][which],
    );
    expect([...batch!.inputs.get('mask')!.data]).toEqual(
      [
        [2, 2, 0],
        [2, 0, 0],
      ][which],
    );
  });
});

describe('splits', () => {
  it('holds out a share of every class, never the whole of one', () => {
    const labels = Int32Array.from({ length: 101 }, (_, i) => (i === 100 ? 2 : i % 2));
    const { kept, held } = stratifiedHoldOut(101, labels, 0.2, 1);
    const counts = [0, 1, 2].map((label) => held.filter((i) => labels[i] === label).length);
    expect(counts).toEqual([10, 10, 0]);
    expect(new Set([...kept, ...held]).size).toBe(101);
    expect(stratifiedHoldOut(101, labels, 0.2, 1).held).toEqual(held);
    expect(stratifiedHoldOut(101, labels, 0.2, 2).held).not.toEqual(held);
  });
  it('takes validation out of training where there is none', () => {
    const { train, validation } = trainAndValidation(rgbDataset(30), 0.2, 0);
    expect([train.length, validation.length]).toEqual([24, 6]);
  });
});

describe('resizing', () => {
  // Pillow 12: Image.fromarray(a).resize((w, h), Image.BILINEAR) of a[y][x] = (x * 40 + y * 17) % 251, 4 rows of 5
  const image = Uint8Array.from({ length: 20 }, (_, i) => ((i % 5) * 40 + Math.floor(i / 5) * 17) % 251);
  it.each<[number, number, number[]]>([
    [2, 3, [29, 92, 155, 56, 119, 182]],
    [
      6,
      7,
      [
        0, 23, 51, 80, 109, 137, 160, 9, 32, 60, 89, 118, 146, 169, 20, 43, 71, 100, 129, 157, 180, 31, 54, 82, 111,
        140, 168, 191, 43, 66, 94, 123, 152, 180, 203, 51, 74, 102, 131, 160, 188, 211,
      ],
    ],
    [4, 2, [40, 120, 57, 137, 74, 154, 91, 171]],
  ])('agrees with Pillow: [%i, %i]', (height, width, expected) => {
    const { data } = resizeImages({ dtype: 'uint8', shape: [1, 4, 5], data: image }, 1, [height, width]);
    expected.forEach((value, i) => expect(Math.abs(value - Number(data[i]))).toBeLessThanOrEqual(1));
  });
});

describe('match', () => {
  const model = (inputs: TensorDescription[], outputs: TensorDescription[]): ModelDescription => ({
    format: 'onnx',
    parameters: 1,
    macs: 1,
    inputs,
    outputs,
    opset: 13,
    operators: {},
    trainable: true,
    untrainable: [],
    warnings: [],
  });
  const dataset = (
    shape: (number | null)[],
    target: DatasetDescription['target'],
    more: Partial<DatasetDescription> = {},
  ): DatasetDescription => ({
    format: 'npz',
    samples: 10,
    splits: { train: 9, validation: 0, test: 1 },
    inputs: [{ name: 'x', dtype: 'uint8', shape }],
    target,
    ...more,
  });
  const classes = (n: number, names?: string[]): DatasetDescription['target'] => ({
    kind: 'classes',
    classes: n,
    ...(names ? { names } : {}),
  });
  const digits = model([input([null, 1, 28, 28])], [input([null, 10], 'float32', 'scores')]);

  it.each([
    ['images', [28, 28]],
    ['images with a channel axis', [28, 28, 1]],
    ["the model's own shape", [1, 28, 28]],
    ['flat rows', [784]],
  ])('accepts %s', (_name, shape) => {
    expect(datasetProblems(digits, dataset(shape, classes(10)))).toEqual([]);
  });
  it.each([
    [
      'size',
      dataset([32, 32], classes(10)),
      /samples of shape \[32, 32\], model input "image" takes \[\?, 1, 28, 28\]/,
    ],
    ['colour', dataset([28, 28, 3], classes(10)), /\[28, 28, 3\]/],
    [
      'classes beyond the scores',
      dataset([28, 28], classes(11)),
      /11 classes \(labels up to 10\), model output "scores" has 10/,
    ],
    [
      'named classes that leave one out',
      dataset([28, 28], classes(2, ['a', 'b'])),
      /2 classes, model output "scores" has 10/,
    ],
    [
      'values for scores',
      dataset([28, 28], { kind: 'values', classes: null, shape: [] }),
      /target values have shape \[\]/,
    ],
  ])('names a mismatch of %s', (_name, data, message) => {
    expect(() => checkDatasetFits(digits, data)).toThrow(
      expect.objectContaining({ code: 'shape-mismatch', message: expect.stringMatching(message) as unknown }) as Error,
    );
  });
  it('resizes folders of images to the model, arrays when asked', () => {
    expect(
      datasetProblems(digits, dataset([null, null, 1], classes(10, [...'0123456789']), { format: 'images' })),
    ).toEqual([]);
    expect(datasetProblems(digits, dataset([32, 32], classes(10)), { resize: [28, 28] })).toEqual([]);
    expect(datasetProblems(digits, dataset([28, 28], classes(10)), { resize: [14, 14] })).toHaveLength(1);
    const open = model([input([null, 3, null, null])], []);
    expect(datasetProblems(open, dataset([null, null, 3], classes(2), { format: 'images' }))).toMatchObject([
      { path: '/transform/resize' },
    ]);
  });
  it('counts channels of mean and std, and inputs', () => {
    expect(datasetProblems(digits, dataset([28, 28], classes(10)), { mean: [0.1, 0.2, 0.3] })).toMatchObject([
      { path: '/transform/mean' },
    ]);
    const two = model([input([null, 2]), input([null, 2], 'float32', 'other')], []);
    expect(datasetProblems(two, dataset([2], classes(2)))).toMatchObject([
      { path: '/dataset', message: 'the model takes 2 input(s) ("image", "other"), the dataset gives 1 ("x")' },
    ]);
  });
  it('tells that the first axis is not the batch', () => {
    const steps = (count: number) =>
      model([input([7, null], 'int64', 'ids'), input([count, null, 8], 'float32', 'state')], []);
    const rows = dataset(
      [5],
      { kind: 'none', classes: null },
      { inputs: [input([5], 'int64', 'ids'), input([5, 8], 'float32', 'state')] },
    );
    expect(datasetProblems(steps(2), rows)).toEqual([
      {
        path: '/dataset',
        message: expect.stringMatching(/"ids" has 7 entries, that of "state" 2: it is not the batch/) as unknown,
      },
    ]);
    expect(datasetProblems(steps(7), rows)).toEqual([]);
  });
});
