import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import Value from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Dataset } from '../../../src/compression/data/dataset.ts';
import { openDataset } from '../../../src/compression/data/open.ts';
import { readOnnx } from '../../../src/compression/formats/onnx/read.ts';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { sharedWeights, withoutCodebooks } from '../../../src/compression/graph/codebooks.ts';
import { describeModel } from '../../../src/compression/graph/describe.ts';
import { makeNode } from '../../../src/compression/ir/edit.ts';
import { toHost } from '../../../src/compression/ir/tensor-data.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { countWeights } from '../../../src/compression/graph/weights.ts';
import { measureModels } from '../../../src/compression/measure/measure.ts';
import { apply } from '../../../src/compression/techniques/cluster/apply.ts';
import { spec, type ClusterParameters } from '../../../src/compression/techniques/cluster/spec.ts';
import { apply as prune } from '../../../src/compression/techniques/prune-weights/apply.ts';
import {
  spec as pruneSpec,
  type PruneWeightsParameters,
} from '../../../src/compression/techniques/prune-weights/spec.ts';
import { apply as quantize } from '../../../src/compression/techniques/quantize/apply.ts';
import { spec as quantizeSpec, type QuantizeParameters } from '../../../src/compression/techniques/quantize/spec.ts';
import { apply as retrain } from '../../../src/compression/techniques/retrain/apply.ts';
import type { ModelState } from '../../../src/compression/step/model-state.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { writeMnist } from '../../support/datasets.ts';
import { modelOf, spread, tensor, value } from '../../support/graphs.ts';
import { clouds, perceptron, randomTensor, withWeights } from '../../support/models.ts';
import { contextFor, initialState, type TestContext } from '../../support/steps.ts';

const DIGITS = new URL('../../../examples/digit_cnn.onnx', import.meta.url);
const TRANSFORM = { scale: 1 / 255, mean: [0.1307], std: [0.3081] };
let folder: string;
let mnist: Dataset;
beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
  folder = await mkdtemp(join(tmpdir(), 'lathe-cluster-'));
  mnist = await openDataset(await writeMnist(join(folder, 'mnist.zip'), 2000, 1000), {});
});
afterAll(async () => {
  await mnist.close();
  await rm(folder, { recursive: true });
});

const settings = (given: Record<string, unknown>): ClusterParameters =>
  Value.Default(spec.parameters, {
    ...spec.defaults!(given, { trainable: true, data: 'none' }),
    ...given,
  }) as ClusterParameters;
const step = (state: ModelState, given: Record<string, unknown>, context: TestContext) =>
  apply(state, settings(given), context);
const clustered = async (
  model: Model,
  given: Record<string, unknown> = {},
  context = contextFor(model, null),
): Promise<Model> => (await step(initialState(model), given, context)).model;
const operators = (model: Model) => new Set(model.graph.nodes.map(({ opType }) => opType));
const weightsOf = (model: Model, name: string): number[] =>
  Array.from(toHost(withoutCodebooks(model).graph.initializers.get(name)!).data as Float32Array);
const different = (values: readonly number[]) => new Set(values).size;
const zerosOf = (values: readonly number[]) => values.flatMap((each, i) => (each === 0 ? [i] : []));
const quality = async (model: Model, candidate: Model) =>
  (
    await measureModels({
      original: writeOnnx(model),
      candidates: [writeOnnx(candidate)],
      dataset: null,
      transform: {},
      seed: 5,
      latencyBudgetMs: 1,
    })
  )[1]!;

describe('digits', () => {
  const digits = readOnnx(readFileSync(DIGITS));

  it.each([
    [{ bits: 8 }, 0.26, 0.23, 43, 0.0005],
    [{}, 0.162, 0.152, 26, 0.002],
    [{ bits: 4 }, 0.13, 0.125, 20, 0.004],
    [{ clusters: 20 }, 0.162, 0.14, 22, 0.004],
    [{ init: 'density' }, 0.162, 0.16, 26, 0.002],
    [{ init: 'random' }, 0.162, 0.16, 26, 0.002],
  ])('%j: small, near and as accurate', async (given, size, gzip, decibels, loss) => {
    const file = writeOnnx(await clustered(digits, given));
    const [before, after] = await measureModels({
      original: readFileSync(DIGITS),
      candidates: [file],
      dataset: mnist,
      transform: TRANSFORM,
      seed: 1,
      latencyBudgetMs: 1,
    });
    expect(after!.sizeBytes / before!.sizeBytes).toBeLessThan(size);
    expect(after!.gzipBytes / before!.sizeBytes).toBeLessThan(gzip);
    expect(after!.fidelity.sqnrDb!).toBeGreaterThan(decibels);
    expect(after!.accuracy!.top1!).toBeGreaterThanOrEqual(before!.accuracy!.top1! - loss);
    expect([after!.parameters, after!.macs]).toEqual([before!.parameters, before!.macs]);
  });

  it('onnxruntime folds all unpacking nodes when it loads the model', async () => {
    const pruned = withWeights(digits, (weight, i, name) => (name.endsWith('weight') && i % 12 > 0 ? 0 : weight));
    for (const model of [await clustered(digits), await clustered(digits, { bits: 7 }), await clustered(pruned)]) {
      const path = join(folder, 'optimized.onnx');
      const session = await ort.InferenceSession.create(writeOnnx(model), {
        graphOptimizationLevel: 'extended',
        optimizedModelFilePath: path,
        logSeverityLevel: 4,
      });
      await session.release();
      expect(
        [...operators(readOnnx(readFileSync(path)))].filter(
          (type) => !/Conv|Gemm|MatMul|Relu|MaxPool|Flatten|Reshape/.test(type),
        ),
      ).toEqual([]);
    }
  });

  it('pruned and clustered, a fortieth of the file; zeros stay zero while it and a later step train', async () => {
    const context = () =>
      contextFor(digits, mnist, { transform: TRANSFORM, training: { batchSize: 128, learningRate: 0.0005 } });
    const pruned = await prune(
      initialState(digits),
      Value.Default(pruneSpec.parameters, { sparsity: 0.9, epochs: 0 }) as PruneWeightsParameters,
      context(),
    );
    const small = await step(pruned, { bits: 4, epochs: 1 }, context());
    const trained = await retrain(small, { epochs: 1 }, context());
    const kernels = [...pruned.frozenZeros];
    expect(kernels).toHaveLength(5);
    for (const { model } of [small, trained]) {
      for (const name of kernels) {
        const values = weightsOf(model, name);
        expect(zerosOf(values)).toEqual(zerosOf(weightsOf(pruned.model, name)));
        expect(different(values)).toBeLessThanOrEqual(16);
      }
      expect([...sharedWeights(model.graph).keys()].sort()).toEqual(kernels.sort());
    }
    const files = [pruned, small, trained].map(({ model }) => writeOnnx(model));
    const [before, after, last, end] = await measureModels({
      original: readFileSync(DIGITS),
      candidates: files,
      dataset: mnist,
      transform: TRANSFORM,
      seed: 1,
      latencyBudgetMs: 1,
    });
    expect(last!.nonZero).toBeLessThanOrEqual(after!.nonZero);
    expect(last!.sizeBytes / before!.sizeBytes).toBeLessThan(0.036);
    expect(last!.gzipBytes / before!.sizeBytes).toBeLessThan(0.033);
    for (const { accuracy } of [last!, end!]) expect(accuracy!.top1!).toBeGreaterThan(after!.accuracy!.top1!);
  });

  it('learns the outputs of the original without labels', async () => {
    const unlabelled: Dataset = {
      ...mnist,
      description: { ...mnist.description, target: { kind: 'none', classes: null } },
    };
    const context = contextFor(digits, unlabelled, { transform: TRANSFORM, training: { batchSize: 128 } });
    const [rough, fine] = [
      await clustered(digits, { bits: 2 }),
      await clustered(digits, { bits: 2, epochs: 1 }, context),
    ];
    const measures = await measureModels({
      original: readFileSync(DIGITS),
      candidates: [writeOnnx(rough), writeOnnx(fine)],
      dataset: mnist,
      transform: TRANSFORM,
      seed: 1,
      latencyBudgetMs: 1,
    });
    expect(measures[2]!.fidelity.top1Agreement!).toBeGreaterThan(measures[1]!.fidelity.top1Agreement!);
  });

  it('an uploaded clustered model is described by its weights, and said to be clustered', async () => {
    for (const given of [{ bits: 3 }, { bits: 8 }, {}]) {
      const [before, after] = [digits, await clustered(digits, given)].map((model) =>
        describeModel(readOnnx(writeOnnx(model)), 'onnx'),
      );
      expect([after!.parameters, after!.macs, after!.trainable]).toEqual([before!.parameters, before!.macs, true]);
      expect(after!.warnings).toEqual([
        {
          code: 'already-clustered',
          message: expect.stringMatching(
            /^The model is clustered already: [45] weight\(s\) of at most \d+ different values \(first "conv_layers/,
          ) as string,
        },
      ]);
    }
  });
});

describe('training', () => {
  it('a step moves each shared value by the sum of the gradients of its weights', async () => {
    const model = await clustered(perceptron({ features: 12, hidden: 40 }), { clusters: 5 });
    expect([...sharedWeights(model.graph).keys()]).toEqual(['w1', 'w2']);
    const data = clouds({ features: 12, samples: 200 });
    const training = {
      batchSize: 1000,
      optimizer: 'sgd',
      momentum: 0,
      learningRate: 0.001,
      schedule: { kind: 'constant' },
    } as const;
    const oneStep = async (start: Model): Promise<Model> =>
      (await retrain(initialState(start), { epochs: 1 }, contextFor(start, data, { training }))).model;
    const [apart, together] = [await oneStep(withoutCodebooks(model)), await oneStep(model)];
    for (const name of ['w1', 'w2']) {
      const [start, free, shared] = [model, apart, together].map((each) => weightsOf(each, name));
      for (const centre of new Set(start)) {
        const members = start!.flatMap((each, i) => (each === centre ? [i] : []));
        const moved = members.reduce((sum, i) => sum + free![i]! - start![i]!, 0);
        // each weight is rounded to 2^-24 of about 1
        for (const i of members) expect(Math.abs(shared![i]! - centre - moved)).toBeLessThan(members.length * 1e-7);
      }
      expect(different(shared!.map((each, i) => each - start![i]!))).toBeGreaterThan(3);
    }
    expect(weightsOf(together, 'b1')).toEqual(weightsOf(apart, 'b1'));
  });

  it('the values of a pruned model that was uploaded keep their zero', async () => {
    const model = withWeights(perceptron({ features: 24, hidden: 64 }), (weight, i, name) =>
      name.startsWith('w') && i % 3 > 0 ? 0 : weight,
    );
    const after = await clustered(model, { clusters: 8, epochs: 3 }, contextFor(model, clouds({ features: 24 })));
    expect(weightsOf(after, 'w1')).not.toEqual(weightsOf(await clustered(model, { clusters: 8 }), 'w1'));
    expect(zerosOf(weightsOf(after, 'w1'))).toEqual(zerosOf(weightsOf(model, 'w1')));
  });
});

const kernel = (name: string, dims: readonly number[]) => randomTensor(name, dims, name.length);
const branch = (name: string, extra: Model['graph']['nodes'] = []) => ({
  kind: 'graph' as const,
  value: {
    name,
    nodes: [...extra, makeNode('MatMul', ['x', `${name}w`], [`${name}y`])],
    initializers: new Map(extra.length > 0 ? [] : [[`${name}w`, kernel(`${name}w`, [16, 32])]]),
    inputs: [],
    outputs: [value(`${name}y`, ['n', 32])],
    valueInfos: [],
  },
});
const CASES: Readonly<Record<string, Model>> = {
  'weights inside an If, in a Constant node too': modelOf({
    nodes: [
      makeNode('ReduceSum', ['x'], ['sum'], { keepdims: 0 }),
      makeNode('Greater', ['sum', 'zero'], ['positive']),
      makeNode('If', ['positive'], ['y'], {
        then_branch: branch('t'),
        else_branch: branch('e', [
          makeNode('Constant', [], ['ew'], { value: { kind: 'tensor', value: kernel('', [16, 32]) } }),
        ]),
      }),
    ],
    initializers: [tensor('zero', [], [0])],
    inputs: [value('x', ['n', 16])],
    outputs: [value('y', ['n', 32])],
  }),
  'a kernel used twice, another through Transpose, an embedding': modelOf({
    nodes: [
      makeNode('Gather', ['table', 'ids'], ['e']),
      makeNode('MatMul', ['e', 'a'], ['h']),
      makeNode('Relu', ['h'], ['r']),
      makeNode('MatMul', ['r', 'a'], ['g']),
      makeNode('Transpose', ['b'], ['bt'], { perm: [1, 0] }),
      makeNode('MatMul', ['g', 'bt'], ['y']),
    ],
    initializers: [kernel('table', [50, 20]), kernel('a', [20, 20]), kernel('b', [30, 20])],
    inputs: [value('ids', ['n', 'length'], 'int64')],
    outputs: [value('y', ['n', 'length', 30])],
  }),
  'LSTM, strided and grouped convolutions': modelOf({
    nodes: [
      makeNode('Conv', ['x', 'k'], ['c'], { strides: [2], pads: [1, 1] }),
      makeNode('Conv', ['c', 'd'], ['g'], { group: 4, pads: [1, 1] }),
      makeNode('Transpose', ['g'], ['s'], { perm: [2, 0, 1] }),
      makeNode('LSTM', ['s', 'w', 'u'], ['', 'h'], { hidden_size: 12 }),
      makeNode('Squeeze', ['h', 'axis'], ['y']),
    ],
    initializers: [
      kernel('k', [16, 10, 3]),
      kernel('d', [16, 4, 3]),
      kernel('w', [1, 48, 16]),
      kernel('u', [1, 48, 12]),
      tensor('axis', [1], [0], 'int64'),
    ],
    inputs: [value('x', ['n', 10, 24])],
    outputs: [value('y', ['n', 12])],
  }),
  'half floats of an old opset': modelOf({
    nodes: [makeNode('MatMul', ['x', 'w'], ['m']), makeNode('Softmax', ['m'], ['y'], { axis: 1 })],
    initializers: [tensor('w', [32, 40], spread(1280), 'float16')],
    inputs: [value('x', ['n', 32], 'float16')],
    outputs: [value('y', ['n', 40], 'float16')],
    opset: 8,
  }),
  'initializers that are inputs as well, as files up to IR version 3 list them': {
    ...modelOf({
      nodes: [makeNode('MatMul', ['x', 'w'], ['y'])],
      initializers: [kernel('w', [32, 40])],
      inputs: [value('x', ['n', 32]), value('w', [32, 40])],
      outputs: [value('y', ['n', 40])],
      opset: 8,
    }),
    irVersion: 3,
  },
};

describe.each(Object.entries(CASES))('%s', (_name, model) => {
  it('is clustered everywhere, near the original, trainable, and the same for the same seed', async () => {
    const small = await clustered(model, { clusters: 8 });
    const kernels = (each: Model) => Object.values(describeModel(each, 'onnx').operators).reduce((a, b) => a + b, 0);
    expect(kernels(small)).toBeGreaterThan(kernels(model));
    expect(describeModel(small, 'onnx').parameters).toBe(describeModel(model, 'onnx').parameters);
    // 8 values of a normal distribution: 14.6 dB each (Max 1960), of four in a row 8.6
    expect((await quality(model, small)).fidelity.sqnrDb!).toBeGreaterThan(8);
    expect(writeOnnx(small).length).toBeLessThan(writeOnnx(model).length * 0.85);
    expect(Buffer.from(writeOnnx(await clustered(model, { clusters: 8 }))).equals(writeOnnx(small))).toBe(true);
    const many = await clustered(model, { clusters: 256 });
    expect((await quality(model, many)).fidelity.sqnrDb ?? Infinity).toBeGreaterThan(30);
    const back = withoutCodebooks(small);
    expect((await quality(small, back)).fidelity.maxAbsError).toBe(0);
  });
});

describe('what is there already', () => {
  const model = perceptron({ features: 24, hidden: 64 });

  it('a model clustered as finely or more coarsely stays as it is; a finer one is clustered again', async () => {
    const small = await clustered(model, { clusters: 8 });
    for (const given of [{ clusters: 8 }, { clusters: 30 }]) {
      const context = contextFor(small, null);
      expect(await clustered(small, given, context)).toBe(small);
      expect(context.warnings).toEqual(['already-clustered']);
    }
    const coarser = await clustered(small, { clusters: 3 });
    expect(different(weightsOf(coarser, 'w1'))).toBe(3);
    expect(different(weightsOf(await clustered(small, { clusters: 3, layers: { include: ['second'] } }), 'w1'))).toBe(
      8,
    );
  });

  it('layers of their own numbers of values, step by step', async () => {
    const first = await clustered(model, { clusters: 16, layers: { include: ['first'] } });
    expect([...sharedWeights(first.graph).keys()]).toEqual(['w1']);
    const both = await clustered(first, { clusters: 4, layers: { exclude: ['w1'] } });
    expect(['w1', 'w2'].map((name) => different(weightsOf(both, name)))).toEqual([16, 4]);
  });

  it('integer weights are left, with a warning that they are quantized', async () => {
    const int8 = (
      await quantize(
        initialState(model),
        Value.Default(quantizeSpec.parameters, { method: 'weight-only' }) as QuantizeParameters,
        contextFor(model, null),
      )
    ).model;
    const context = contextFor(int8, null);
    expect(await clustered(int8, {}, context)).toBe(int8);
    expect(context.warnings).toEqual(['already-quantized', 'nothing-to-cluster']);
  });

  it('weight-only finds no floats in clustered weights; half floats make their codebooks smaller', async () => {
    const state = initialState(await clustered(model, { clusters: 200 }));
    const quantized = async (given: object) =>
      quantize(state, Value.Default(quantizeSpec.parameters, given) as QuantizeParameters, contextFor(model, null));
    expect((await quantized({ method: 'weight-only', layers: { include: ['w1'] } })).model).toBe(state.model);
    const half = (await quantized({ precision: 'float16' })).model;
    expect(countWeights(half.graph)).toEqual(countWeights(state.model.graph));
    expect((await quality(state.model, half)).fidelity.sqnrDb!).toBeGreaterThan(50);
  });

  it('nothing happens if nothing would be smaller, matches, or is finite', async () => {
    const warned = async (start: Model, given: Record<string, unknown>) => {
      const context = contextFor(start, null);
      expect(await clustered(start, given, context)).toBe(start);
      return context.warnings;
    };
    expect(await warned(perceptron(), { bits: 8 })).toEqual(['nothing-to-cluster']);
    expect(await warned(model, { layers: { include: ['third'] } })).toEqual(['nothing-to-cluster']);
    expect(
      await warned(
        withWeights(model, (weight, i, name) => (name.startsWith('w') && i === 7 ? NaN : weight)),
        {},
      ),
    ).toEqual(['weights-not-finite', 'nothing-to-cluster']);
    const context = contextFor(model, null);
    const odd = await clustered(
      withWeights(model, (weight, i, name) => (name === 'w2' && i === 7 ? Infinity : weight)),
      {},
      context,
    );
    expect([context.warnings, [...sharedWeights(odd.graph).keys()]]).toEqual([['weights-not-finite'], ['w1']]);
  });
});

describe('parameters', () => {
  it('either bits or clusters', () => {
    const problems = (given: object) =>
      spec.contradictions!(settings(given as Record<string, unknown>)).map(
        ({ path, message }) => `${path}: ${message}`,
      );
    expect(problems({ bits: 4, clusters: 16 })).toEqual([
      '/clusters: give bits or clusters, not both: 4 bits are 16 clusters',
    ]);
    for (const given of [{}, { bits: 8 }, { clusters: 2 }]) expect(problems(given)).toEqual([]);
  });

  it.each([
    { bits: 0 },
    { bits: 9 },
    { clusters: 1 },
    { clusters: 257 },
    { clusters: 3.5 },
    { init: 'k-means++' },
    { sparsity: 0.5 },
  ])('%j is no parameter', (given) => {
    expect(Value.Check(spec.parameters, settings(given))).toBe(false);
  });
});
