import { beforeAll, describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../../src/compression/formats/graph-builder.ts';
import { elementCount, toHost } from '../../../src/compression/ir/tensor-data.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { apply } from '../../../src/compression/techniques/prune-channels/apply.ts';
import { pruningRounds } from '../../../src/compression/techniques/prune-channels/plan.ts';
import type { PruneChannelsParameters } from '../../../src/compression/techniques/prune-channels/spec.ts';
import { apply as retrain } from '../../../src/compression/techniques/retrain/apply.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { clouds, convolutional, images, perceptron } from '../../support/models.ts';
import { halveChannels } from '../../support/masked-channels.ts';
import { contextFor, initialState, memoryCheckpoints } from '../../support/steps.ts';

const parameters = (given: Partial<PruneChannelsParameters>): PruneChannelsParameters => ({
  ratio: 0.5,
  scope: 'layer',
  score: 'l2',
  roundTo: 1,
  maxRatio: 0.9,
  schedule: 'one-shot',
  epochs: 0,
  rampFraction: 0.5,
  rounds: 2,
  layers: {},
  ...given,
});
const dims = (model: Model, name: string) => model.graph.initializers.get(name)!.dims;
const rows = (model: Model, name: string): number[][] => {
  const {
    dims: [count],
    data,
  } = toHost(model.graph.initializers.get(name)!);
  const values = [...(data as Float32Array)];
  return Array.from({ length: count! }, (_, i) =>
    values.slice((i * values.length) / count!, ((i + 1) * values.length) / count!),
  );
};
const norm = (row: readonly number[], p: 1 | 2) => row.reduce((sum, x) => sum + Math.abs(x) ** p, 0);
/** Indices of the largest, in order. */
const largest = (values: readonly number[], count: number) =>
  values
    .map((value, i) => ({ value, i }))
    .sort((a, b) => b.value - a.value)
    .slice(0, count)
    .map(({ i }) => i)
    .sort((a, b) => a - b);

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
});

describe('what goes', () => {
  test.each(['l1', 'l2'] as const)(
    '%s keeps the filters of the greatest norm, with biases, statistics and columns that read them',
    async (score) => {
      const model = convolutional({ filters: 8 });
      const { model: smaller, kept } = await apply(initialState(model), parameters({ score }), contextFor(model, null));
      const expected = largest(
        rows(model, 'kernel').map((row) => norm(row, score === 'l1' ? 1 : 2)),
        4,
      );
      expect(kept.get('kernel')).toEqual([expected, null, null, null]);
      expect(kept.get('w')).toEqual([null, expected]);
      expect(rows(smaller, 'kernel')).toEqual(expected.map((i) => rows(model, 'kernel')[i]));
      for (const name of ['scale', 'shift', 'mean', 'variance']) expect(dims(smaller, name)).toEqual([4]);
    },
  );

  test('bn-scale keeps the greatest scales; layers without one go by their weights, with a warning', async () => {
    const model = convolutional({ filters: 6 });
    const scale = model.graph.initializers.get('scale')!;
    const scaled = {
      ...model,
      graph: {
        ...model.graph,
        initializers: new Map([
          ...model.graph.initializers,
          ['scale', { ...scale, bytes: new Uint8Array(Float32Array.of(0.1, -5, 2, 0.3, 4, 0.2).buffer) }],
        ]),
      },
    };
    const context = contextFor(scaled, null);
    expect(
      (await apply(initialState(scaled), parameters({ score: 'bn-scale' }), context)).kept.get('kernel')![0],
    ).toEqual([1, 2, 4]);
    expect(context.warnings).toEqual([]);
    const plain = contextFor(perceptron(), null);
    expect((await apply(initialState(perceptron()), parameters({ score: 'bn-scale' }), plain)).kept.get('w1')).toEqual(
      (await apply(initialState(perceptron()), parameters({}), plain)).kept.get('w1'),
    );
    expect(plain.warnings).toEqual(['no-normalization']);
  });

  test('geometric-median drops the filter that lies in the middle of the others, however large', async () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float32', ['n', 2]);
    // The third row is the mean of the others and has the greatest norm but one.
    const w = b.weight('w', [4, 2], [10, 0, 10, 6, 10, 3, 10.5, 3]);
    b.output(
      'y',
      b.op('Gemm', [b.op('Gemm', [x, w], { transB: 1 }), b.weight('v', [1, 4], [1, 1, 1, 1])], { transB: 1 }),
      'float32',
      null,
    );
    const model = b.build('median', 'test');
    expect(
      (
        await apply(
          initialState(model),
          parameters({ ratio: 0.25, score: 'geometric-median' }),
          contextFor(model, null),
        )
      ).kept.get('w')![0],
    ).toEqual([0, 1, 3]);
    expect(
      (await apply(initialState(model), parameters({ ratio: 0.25, score: 'l2' }), contextFor(model, null))).kept.get(
        'w',
      )![0],
    ).toEqual([1, 2, 3]);
  });

  test('taylor drops what the loss does not feel: large filters that nothing reads', async () => {
    const model = convolutional({ filters: 8 });
    const head = model.graph.initializers.get('w')!;
    const data = Float32Array.from(toHost(head).data as Float32Array, (value, i) => (i % 8 < 4 ? 0 : value));
    const deaf = {
      ...model,
      graph: {
        ...model.graph,
        initializers: new Map([...model.graph.initializers, ['w', { ...head, bytes: new Uint8Array(data.buffer) }]]),
      },
    };
    for (const dataset of [images()]) {
      const { kept } = await apply(initialState(deaf), parameters({ score: 'taylor' }), contextFor(deaf, dataset));
      expect(kept.get('kernel')![0]).toEqual([4, 5, 6, 7]);
    }
  });

  test('random depends on the seed only', async () => {
    const model = convolutional({ filters: 32 });
    const keep = async (seed: number) =>
      (await apply(initialState(model), parameters({ score: 'random' }), contextFor(model, null, { seed }))).kept.get(
        'kernel',
      )![0];
    expect(await keep(1)).toEqual(await keep(1));
    expect(await keep(1)).not.toEqual(await keep(2));
  });

  test('global takes the least important of all layers, and leaves each its share', async () => {
    const b = new GraphBuilder();
    const weights = (rowsOf: number, columns: number, of: (row: number) => number) =>
      Float32Array.from({ length: rowsOf * columns }, (_, i) => of(Math.floor(i / columns)));
    const x = b.input('x', 'float32', ['n', 4]);
    const uneven = b.weight(
      'uneven',
      [10, 4],
      weights(10, 4, (row) => (row < 2 ? 10 : 0.01)),
    );
    const even = b.weight(
      'even',
      [10, 10],
      weights(10, 10, (row) => 1 + row / 100),
    );
    b.output(
      'y',
      b.op(
        'Gemm',
        [
          b.op('Gemm', [b.op('Gemm', [x, uneven], { transB: 1 }), even], { transB: 1 }),
          b.weight('v', [1, 10], new Float32Array(10).fill(1)),
        ],
        { transB: 1 },
      ),
      'float32',
      null,
    );
    const model = b.build('global', 'test');
    const sizes = async (given: Partial<PruneChannelsParameters>) => {
      const after = (await apply(initialState(model), parameters(given), contextFor(model, null))).model;
      return [dims(after, 'uneven')[0], dims(after, 'even')[0]];
    };
    expect(await sizes({ scope: 'layer', ratio: 0.4 })).toEqual([6, 6]);
    expect(await sizes({ scope: 'global', ratio: 0.4 })).toEqual([2, 10]);
    expect(await sizes({ scope: 'global', ratio: 0.4, maxRatio: 0.5 })).toEqual([5, 7]);
    expect(await sizes({ scope: 'layer', ratio: 0.4, roundTo: 4 })).toEqual([8, 8]);
  });

  test('excluded layers keep their channels; a warning lists the layers if a filter matches none', async () => {
    const model = perceptron({ hidden: 8 });
    const context = contextFor(model, null);
    expect((await apply(initialState(model), parameters({ layers: { exclude: ['first'] } }), context)).model).toBe(
      model,
    );
    expect(context.warnings).toEqual(['nothing-to-prune']);
    expect(
      dims((await apply(initialState(model), parameters({ layers: { include: ['fir*'] } }), context)).model, 'w1'),
    ).toEqual([4, 4]);
  });

  test('two steps in a row: kept indices refer to the uploaded model', async () => {
    const model = convolutional({ filters: 8 });
    const first = await apply(initialState(model), parameters({}), contextFor(model, null));
    const second = await apply(first, parameters({}), contextFor(model, null));
    expect(second.kept.get('kernel')![0]).toHaveLength(2);
    expect(rows(second.model, 'kernel')).toEqual(second.kept.get('kernel')![0]!.map((i) => rows(model, 'kernel')[i]));
  });
});

describe('rounds', () => {
  test('iterative removes the same share of what is left in each; gradual follows the cubic', () => {
    const shares = (given: Partial<PruneChannelsParameters>) =>
      pruningRounds(parameters(given)).map(({ fraction, epochs }) => [Number(fraction.toFixed(4)), epochs]);
    expect(shares({ schedule: 'iterative', ratio: 0.75, rounds: 2, epochs: 3 })).toEqual([
      [0.6667, 3],
      [1, 3],
    ]);
    expect(shares({ schedule: 'gradual', epochs: 5, rampFraction: 0.4 })).toEqual([
      [0.875, 1],
      [1, 4],
    ]);
    expect(shares({ epochs: 2 })).toEqual([[1, 2]]);
  });

  test('retraining recovers the accuracy; all rounds together keep the ratio', async () => {
    const model = (
      await retrain(initialState(perceptron({ hidden: 32 })), { epochs: 4 }, contextFor(perceptron(), clouds()))
    ).model;
    const context = contextFor(model, clouds());
    const { model: smaller } = await apply(
      initialState(model),
      parameters({ ratio: 0.75, schedule: 'iterative', rounds: 3, epochs: 2 }),
      context,
    );
    expect(dims(smaller, 'w1')).toEqual([8, 4]);
    const ends = context.progress.filter(({ endOfEpoch }) => endOfEpoch);
    expect(ends.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(ends.at(-1)!.progress).toBeCloseTo(1);
    expect(ends.at(-1)!.metrics!['validation.top1']).toBeGreaterThan(0.9); // separable clouds
  });

  test('without labels the uploaded model teaches', async () => {
    const model = perceptron({ hidden: 16 });
    const context = contextFor(model, clouds({ labelled: false }));
    expect(dims((await apply(initialState(model), parameters({ epochs: 1 }), context)).model, 'w1')).toEqual([8, 4]);
  });

  test('a step killed between rounds or epochs resumes and ends with the same bytes', async () => {
    const model = convolutional({ filters: 8 });
    const given = parameters({ schedule: 'iterative', rounds: 2, epochs: 2, score: 'random' });
    const whole = await apply(initialState(model), given, contextFor(model, images()));
    const checkpoints = memoryCheckpoints();
    for (const stopAt of [2, 3]) {
      const stop = new AbortController();
      const report = ({ endOfEpoch, epoch }: { endOfEpoch?: boolean; epoch?: number }) => {
        if (endOfEpoch && epoch === stopAt)
          setImmediate(() => {
            stop.abort(new Error('killed'));
          });
      };
      await expect(
        apply(initialState(model), given, contextFor(model, images(), { checkpoints, signal: stop.signal, report })),
      ).rejects.toThrow('killed');
    }
    const resumed = await apply(initialState(model), given, contextFor(model, images(), { checkpoints }));
    expect(Buffer.from(writeOnnx(resumed.model)).equals(Buffer.from(writeOnnx(whole.model)))).toBe(true);
    expect([...resumed.kept]).toEqual([...whole.kept]);
  });
});

/** ResNet-18 of He et al. 2015 for 224 x 224 images and 1,000 classes; weights are zeros. */
function resNet18(): Model {
  const b = new GraphBuilder();
  const zeros = (name: string, ...shape: number[]) => b.weight(name, shape, new Float32Array(elementCount(shape)));
  const conv = (x: string, from: number, to: number, size: number, stride: number) => {
    const y = b.op('Conv', [x, zeros('kernel', to, from, size, size)], {
      strides: [stride, stride],
      pads: new Array<number>(4).fill((size - 1) / 2),
    });
    return b.op('BatchNormalization', [
      y,
      zeros('scale', to),
      zeros('shift', to),
      zeros('mean', to),
      zeros('variance', to),
    ]);
  };
  let x = b.op('MaxPool', [b.op('Relu', [conv(b.input('x', 'float32', ['n', 3, 224, 224]), 3, 64, 7, 2)])], {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
  });
  [64, 128, 256, 512].forEach((width, stage) => {
    for (const block of [0, 1]) {
      const from = block === 0 && stage > 0 ? width / 2 : width;
      const stride = from === width ? 1 : 2;
      const branch = conv(b.op('Relu', [conv(x, from, width, 3, stride)]), width, width, 3, 1);
      x = b.op('Relu', [b.op('Add', [branch, from === width ? x : conv(x, from, width, 1, 2)])]);
    }
  });
  const features = b.op('Flatten', [b.op('GlobalAveragePool', [x])]);
  b.output('y', b.op('Gemm', [features, zeros('head', 1000, 512), zeros('bias', 1000)], { transB: 1 }), 'float32', [
    'n',
    1000,
  ]);
  return b.build('resnet18', 'test');
}

test('ResNet-18 with half of every group of channels: 11.690M -> 3.05588M parameters, as Torch-Pruning has it', () => {
  const learned = ({ graph }: Model) =>
    [...graph.initializers.values()]
      .filter(({ name }) => !/^(mean|variance)/.test(name))
      .reduce((sum, { dims: shape }) => sum + elementCount(shape), 0);
  const model = resNet18();
  expect(learned(model)).toBe(11_689_512);
  expect(learned(halveChannels(model).model)).toBe(3_055_880);
});
