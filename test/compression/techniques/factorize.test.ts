import { beforeAll, describe, expect, test } from 'vitest';
import { countMacs } from '../../../src/compression/graph/describe.ts';
import { makeNode as node } from '../../../src/compression/ir/edit.ts';
import { toHost } from '../../../src/compression/ir/tensor-data.ts';
import type { Model, Node, Tensor } from '../../../src/compression/ir/types.ts';
import { countWeights } from '../../../src/compression/graph/weights.ts';
import { seededNormal } from '../../../src/compression/data/random.ts';
import { apply } from '../../../src/compression/techniques/factorize/apply.ts';
import type { FactorizeParameters } from '../../../src/compression/techniques/factorize/spec.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { floats, modelOf, runInOnnxRuntime, tensor, value } from '../../support/graphs.ts';
import { clouds, convolutional, images, perceptron, randomTensor } from '../../support/models.ts';
import { contextFor, initialState } from '../../support/steps.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

const parameters = (given: Partial<FactorizeParameters>): FactorizeParameters => ({
  method: 'auto',
  epochs: 0,
  layers: {},
  ...given,
});

async function factorized(model: Model, given: Partial<FactorizeParameters>) {
  const context = contextFor(model, null);
  const { model: after } = await apply(initialState(model), parameters(given), context);
  return { after, warnings: context.warnings };
}

/**
 * sum over r of the outer products of random vectors, one per axis group: `groups` lists, for each factor, the axes
 * that it spans.
 */
function sumOfProducts(
  name: string,
  dims: readonly number[],
  groups: readonly (readonly number[])[],
  rank: number,
  seed: number,
): Tensor {
  const normal = seededNormal(seed);
  const factors = groups.map((axes) =>
    Array.from({ length: rank }, () =>
      Float64Array.from({ length: axes.reduce((size, axis) => size * dims[axis]!, 1) }, normal),
    ),
  );
  const strides = dims.map((_, axis) => dims.slice(axis + 1).reduce((a, b) => a * b, 1));
  const size = dims.reduce((a, b) => a * b, 1);
  return tensor(
    name,
    dims,
    Float32Array.from({ length: size }, (_, at) => {
      const place = groups.map((axes) =>
        axes.reduce((index, axis) => index * dims[axis]! + (Math.floor(at / strides[axis]!) % dims[axis]!), 0),
      );
      return (
        Array.from({ length: rank }, (_, r) =>
          factors.reduce((value, factor, g) => value * factor[r]![place[g]!]!, 1),
        ).reduce((a, b) => a + b, 0) / Math.sqrt(size)
      );
    }),
  );
}

/** One layer with a bias. */
function oneLayer(layer: Node, weight: Tensor, input: readonly number[], bias = 0): Model {
  return modelOf({
    nodes: [layer],
    initializers: bias ? [weight, randomTensor('b', [bias], 9)] : [weight],
    inputs: [value('x', input)],
    outputs: [value('y', null)],
  });
}

async function differenceOf(a: Model, b: Model, input: readonly number[]): Promise<number> {
  const feeds = { x: floats([...input]) };
  const [first, second] = [(await runInOnnxRuntime(a, feeds)).get('y')!, (await runInOnnxRuntime(b, feeds)).get('y')!];
  expect(second.dims).toEqual(first.dims);
  const [x, y] = [Array.from(first.data, Number), Array.from(second.data, Number)];
  return Math.max(...x.map((at, i) => Math.abs(at - y[i]!))) / Math.max(...x.map(Math.abs));
}

const conv = (attributes: Parameters<typeof node>[3], bias = true) =>
  node('Conv', bias ? ['x', 'w', 'b'] : ['x', 'w'], ['y'], attributes);
const CHANNELS = [[0], [1, 2, 3]];

describe('layers of low rank are written as several without loss', () => {
  const low: [string, Model, readonly number[], string[], Partial<FactorizeParameters>][] = [
    [
      'a Gemm',
      oneLayer(node('Gemm', ['x', 'w', 'b'], ['y']), sumOfProducts('w', [24, 20], [[0], [1]], 3, 1), [4, 24], 20),
      [4, 24],
      ['MatMul', 'Gemm'],
      {},
    ],
    [
      'a transposed Gemm',
      oneLayer(
        node('Gemm', ['x', 'w', 'b'], ['y'], { transB: 1 }),
        sumOfProducts('w', [20, 24], [[0], [1]], 3, 1),
        [4, 24],
        20,
      ),
      [4, 24],
      ['MatMul', 'Gemm'],
      {},
    ],
    [
      'a MatMul of three axes',
      oneLayer(node('MatMul', ['x', 'w'], ['y']), sumOfProducts('w', [24, 20], [[0], [1]], 3, 1), [2, 5, 24]),
      [2, 5, 24],
      ['MatMul', 'MatMul'],
      {},
    ],
    [
      'a 1x1 convolution with strides and pads',
      oneLayer(
        conv({ strides: [2, 2], pads: [1, 0, 1, 1] }),
        sumOfProducts('w', [20, 24, 1, 1], CHANNELS, 3, 1),
        [2, 24, 7, 6],
        20,
      ),
      [2, 24, 7, 6],
      ['Conv', 'Conv'],
      {},
    ],
    [
      'fewer filters',
      oneLayer(
        conv({ strides: [2, 1], pads: [1, 2, 0, 1], dilations: [1, 2] }),
        sumOfProducts('w', [16, 12, 3, 3], CHANNELS, 2, 2),
        [2, 12, 9, 9],
        16,
      ),
      [2, 12, 9, 9],
      ['Conv', 'Conv'],
      { method: 'svd' },
    ],
    [
      'a column and a row',
      oneLayer(
        conv({ strides: [2, 1], pads: [1, 2, 0, 1], dilations: [1, 2] }),
        sumOfProducts(
          'w',
          [16, 12, 3, 3],
          [
            [1, 2],
            [3, 0],
          ],
          2,
          3,
        ),
        [2, 12, 9, 9],
        16,
      ),
      [2, 12, 9, 9],
      ['Conv', 'Conv'],
      {},
    ],
    [
      'a column and a row, padded by SAME',
      oneLayer(
        conv({ strides: [2, 2], auto_pad: 'SAME_UPPER' }, false),
        sumOfProducts(
          'w',
          [16, 12, 5, 3],
          [
            [1, 2],
            [3, 0],
          ],
          2,
          3,
        ),
        [2, 12, 9, 8],
      ),
      [2, 12, 9, 8],
      ['Conv', 'Conv'],
      { method: 'svd' },
    ],
    [
      'Tucker',
      oneLayer(
        conv({ strides: [2, 1], pads: [1, 2, 0, 1], dilations: [1, 2] }),
        sumOfProducts('w', [16, 24, 3, 3], [[0], [1], [2, 3]], 3, 4),
        [2, 24, 9, 9],
        16,
      ),
      [2, 24, 9, 9],
      ['Conv', 'Conv', 'Conv'],
      { method: 'tucker' },
    ],
    [
      'Tucker along one axis',
      oneLayer(conv({ pads: [1, 1] }), sumOfProducts('w', [32, 16, 3], [[0], [1], [2]], 2, 5), [2, 16, 9], 32),
      [2, 16, 9],
      ['Conv', 'Conv', 'Conv'],
      { method: 'tucker' },
    ],
    [
      'Tucker of volumes',
      oneLayer(conv({}, false), sumOfProducts('w', [12, 16, 2, 2, 3], [[0], [1], [2, 3, 4]], 2, 6), [1, 16, 4, 4, 4]),
      [1, 16, 4, 4, 4],
      ['Conv', 'Conv', 'Conv'],
      { method: 'tucker' },
    ],
  ];
  test.each(low)('%s', async (_, model, input, operators, given) => {
    const { after, warnings } = await factorized(model, { energy: 1 - 1e-9, ...given });
    expect(warnings).toEqual([]);
    expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(operators);
    expect(countWeights(after.graph).parameters).toBeLessThan(countWeights(model.graph).parameters);
    expect(await differenceOf(model, after, input)).toBeLessThan(1e-4); // float32 factors
  });

  test('half floats stay half floats', async () => {
    const weight = sumOfProducts('w', [24, 20], [[0], [1]], 3, 1);
    const half = {
      ...oneLayer(
        node('MatMul', ['x', 'w'], ['y']),
        tensor('w', [24, 20], toHost(weight).data as Float32Array, 'float16'),
        [4, 24],
      ),
    };
    const { after } = await factorized(half, { rank: 3 });
    expect([...after.graph.initializers.values()].map(({ dtype, dims }) => [dtype, dims])).toEqual([
      ['float16', [24, 3]],
      ['float16', [3, 20]],
    ]);
  });
});

describe('what is lost', () => {
  const values = ({ graph }: Model, name: string): Float32Array =>
    toHost(graph.initializers.get(name)!).data as Float32Array;

  test('of a matrix is the energy of its smaller singular values', async () => {
    const matrix = randomTensor('w', [12, 10], 4);
    const model = oneLayer(node('MatMul', ['x', 'w'], ['y']), matrix, [3, 12]);
    const { after } = await factorized(model, { rank: 4 });
    const [a, b, w] = [values(after, 'w_first'), values(after, 'w_second'), values(model, 'w')];
    const off = w.map(
      (at, i) => at - [0, 1, 2, 3].reduce((sum, r) => sum + a[Math.floor(i / 10) * 4 + r]! * b[r * 10 + (i % 10)]!, 0),
    );
    // The residue of the best approximation is orthogonal to it, in rows and in columns.
    const against = [0, 1, 2, 3].flatMap((r) =>
      [...Array(10).keys()].map((column) =>
        [...Array(12).keys()].reduce((sum, row) => sum + a[row * 4 + r]! * off[row * 10 + column]!, 0),
      ),
    );
    expect(Math.max(...against.map(Math.abs))).toBeLessThan(1e-5); // sums in float32 of values around 1
    const energy = (of: Float32Array): number => of.reduce((sum, at) => sum + at * at, 0);
    const { after: same } = await factorized(model, { energy: 1 - (energy(off) / energy(w)) * 1.0001 });
    expect(same.graph.initializers.get('w_first')!.dims).toEqual([12, 4]);
  });

  test('of Tucker is between the loss of the worse axis and of both', async () => {
    const weight = randomTensor('w', [12, 16, 3, 3], 5);
    const model = oneLayer(conv({}, false), weight, [1, 16, 6, 6]);
    const { after } = await factorized(model, { rank: 5, method: 'tucker' });
    const [inputs, core, outputs] = ['w_inputs', 'w_core', 'w_outputs'].map((name) => values(after, name)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const energy = (of: ArrayLike<number>): number => Array.from(of).reduce((sum, at) => sum + at * at, 0);
    const orthonormal = (rows: number, columns: number, at: (row: number, column: number) => number): number =>
      Math.max(
        ...[...Array(columns).keys()].flatMap((i) =>
          [...Array(columns).keys()].map((j) =>
            Math.abs([...Array(rows).keys()].reduce((sum, row) => sum + at(row, i) * at(row, j), 0) - Number(i === j)),
          ),
        ),
      );
    expect(orthonormal(12, 5, (row, column) => outputs[row * 5 + column]!)).toBeLessThan(1e-5);
    expect(orthonormal(16, 5, (row, column) => inputs[column * 16 + row]!)).toBeLessThan(1e-5);
    const lost = 1 - energy(core) / energy(values(model, 'w'));
    const one = async (dims: readonly number[]): Promise<number> => {
      // the same weight as a matrix of that axis: what its best approximation of rank 5 loses
      const flat = oneLayer(
        node('MatMul', ['x', 'w'], ['y']),
        tensor('w', dims, dims[0] === 12 ? values(model, 'w') : byInputs(values(model, 'w'))),
        [1, dims[0]!],
      );
      const { after: cut } = await factorized(flat, { rank: 5 });
      return 1 - energy(product(values(cut, 'w_first'), values(cut, 'w_second'), 5)) / energy(values(flat, 'w'));
    };
    const [byOutput, byInput] = [await one([12, 144]), await one([16, 108])];
    expect(lost).toBeGreaterThanOrEqual(Math.max(byOutput, byInput) - 1e-6);
    expect(lost).toBeLessThanOrEqual(byOutput + byInput + 1e-6);
  });

  const byInputs = (w: Float32Array): Float32Array =>
    Float32Array.from(
      { length: w.length },
      (_, at) => w[Math.floor((at % 108) / 9) * 144 + Math.floor(at / 108) * 9 + (at % 9)]!,
    );
  const product = (a: Float32Array, b: Float32Array, rank: number): number[] => {
    const columns = b.length / rank;
    return Array.from({ length: (a.length / rank) * columns }, (_, i) =>
      [...Array(rank).keys()].reduce(
        (sum, r) => sum + a[Math.floor(i / columns) * rank + r]! * b[r * columns + (i % columns)]!,
        0,
      ),
    );
  };
});

describe('targets', () => {
  test.each(['svd', 'tucker', 'auto'] as const)(
    'no layer keeps more than the ratio (%s), and the model needs fewer operations',
    async (method) => {
      const model = modelOf({
        nodes: [
          node('Conv', ['x', 'k'], ['c'], { pads: [1, 1, 1, 1], strides: [2, 2] }),
          node('Relu', ['c'], ['r']),
          node('Conv', ['r', 'p'], ['q']),
          node('GlobalAveragePool', ['q'], ['g']),
          node('Flatten', ['g'], ['f']),
          node('Gemm', ['f', 'w', 'b'], ['y']),
        ],
        initializers: [
          randomTensor('k', [32, 24, 3, 3], 1),
          randomTensor('p', [40, 32, 1, 1], 2),
          randomTensor('w', [40, 30], 3),
          randomTensor('b', [30], 4),
        ],
        inputs: [value('x', [1, 24, 8, 8])],
        outputs: [value('y', null)],
      });
      const { after } = await factorized(model, { ratio: 0.4, method });
      const weights = (prefix: string): number =>
        [...after.graph.initializers]
          .filter(([name]) => name.startsWith(prefix))
          .reduce((sum, [, { dims }]) => sum + dims.reduce((a, b) => a * b, 1), 0);
      for (const [prefix, whole] of [
        ['k', 32 * 24 * 9],
        ['p', 40 * 32],
        ['w', 40 * 30],
      ] as const) {
        expect(weights(prefix)).toBeLessThanOrEqual(0.4 * whole);
        expect(weights(prefix)).toBeGreaterThan(0.2 * whole);
      }
      expect(countMacs(after)!).toBeLessThan(countMacs(model)! * 0.6);
    },
  );

  test('layers that would not get cheaper or cannot be factorized stay', async () => {
    const grouped = modelOf({
      nodes: [node('Conv', ['x', 'k'], ['y'], { group: 4 })],
      initializers: [randomTensor('k', [8, 2, 3, 3], 1)],
      inputs: [value('x', [1, 8, 6, 6])],
      outputs: [value('y', null)],
    });
    const cases: [Model, Partial<FactorizeParameters>][] = [
      [perceptron(), { energy: 1 - 1e-9 }],
      [grouped, { ratio: 0.5 }],
      [perceptron(), { ratio: 0.5, layers: { include: ['nowhere'] } }],
    ];
    for (const [model, given] of cases) {
      const { after, warnings } = await factorized(model, given);
      expect(after).toBe(model);
      expect(warnings).toEqual(['nothing-factorized']);
    }
  });

  test('shared, pruned and non-finite weights stay whole', async () => {
    const twice = modelOf({
      nodes: [node('MatMul', ['x', 'w'], ['h']), node('MatMul', ['h', 'w'], ['y'])],
      initializers: [randomTensor('w', [16, 16], 1)],
      inputs: [value('x', [2, 16])],
      outputs: [value('y', null)],
    });
    expect((await factorized(twice, { rank: 2 })).after).toBe(twice);
    const model = perceptron({ features: 12, hidden: 24 });
    const pruned = await apply(
      { ...initialState(model), frozenZeros: new Set(['w1']) },
      parameters({ rank: 2 }),
      contextFor(model, null),
    );
    expect([...pruned.model.graph.initializers.keys()]).toEqual(expect.arrayContaining(['w1', 'w2_first']));
    const spoilt = oneLayer(
      node('MatMul', ['x', 'w'], ['y']),
      tensor('w', [8, 8], new Float32Array(64).fill(NaN)),
      [1, 8],
    );
    expect((await factorized(spoilt, { rank: 2 })).warnings).toEqual(['not-finite', 'nothing-factorized']);
  });
});

describe('trains the result', () => {
  test.each([
    ['perceptron', perceptron({ features: 12, hidden: 24 }), clouds({ features: 12 })],
    ['convolutional', convolutional({ filters: 16 }), images()],
  ] as const)('%s', async (_, model, data) => {
    const context = contextFor(model, data);
    const { model: after } = await apply(initialState(model), parameters({ ratio: 0.6, epochs: 4 }), context);
    const figures = context.progress.filter(({ endOfEpoch }) => endOfEpoch).map(({ metrics }) => metrics!);
    expect(figures).toHaveLength(4);
    expect(figures.at(-1)!['validation.loss']).toBeLessThan(figures[0]!['validation.loss']!);
    expect(after.graph.nodes.length).toBeGreaterThan(model.graph.nodes.length);
  });
});
