import { Value } from 'typebox/value';
import { beforeAll, describe, expect, test } from 'vitest';
import { Sensitivity } from '../../../src/contracts/report.ts';
import { arrayDataset } from '../../../src/compression/data/array-dataset.ts';
import { arrayFrom } from '../../../src/compression/data/array-store.ts';
import type { Dataset } from '../../../src/compression/data/dataset.ts';
import { seededNormal } from '../../../src/compression/data/random.ts';
import { trainAndValidation } from '../../../src/compression/data/splits.ts';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { makeNode } from '../../../src/compression/ir/edit.ts';
import { hostNumbers, toHost } from '../../../src/compression/ir/tensor-data.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { measureModels } from '../../../src/compression/measure/measure.ts';
import { apply } from '../../../src/compression/techniques/analyze/apply.ts';
import { spec, type AnalyzeParameters } from '../../../src/compression/techniques/analyze/spec.ts';
import { applyTrial, trialsOf } from '../../../src/compression/techniques/analyze/trials.ts';
import { kernelWeights } from '../../../src/compression/techniques/kernel-weights.ts';
import { apply as quantize } from '../../../src/compression/techniques/quantize/apply.ts';
import { spec as quantizeSpec } from '../../../src/compression/techniques/quantize/spec.ts';
import { apply as retrain } from '../../../src/compression/techniques/retrain/apply.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { floats, modelOf, runInOnnxRuntime, tensor, value } from '../../support/graphs.ts';
import { clouds, perceptron } from '../../support/models.ts';
import { contextFor, initialState, type TestContext } from '../../support/steps.ts';

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
});

const parameters = (given: Partial<AnalyzeParameters> = {}): AnalyzeParameters =>
  Value.Default(spec.parameters, { ...given }) as AnalyzeParameters;

async function sensitivity(
  model: Model,
  given: Partial<AnalyzeParameters>,
  context: TestContext,
): Promise<Sensitivity> {
  const state = initialState(model);
  expect(await apply(state, parameters(given), context)).toBe(state);
  const found = context.evidence.at(-1)!.sensitivity!;
  expect(Value.Check(Sensitivity, found)).toBe(true);
  return found;
}

const kernelOf = (model: Model, name: string) => kernelWeights(model).find((weight) => weight.name === name)!;
const product = (dims: readonly number[], values: readonly number[], transB = 1): Model =>
  modelOf({
    nodes: [makeNode('Gemm', ['x', 'w'], ['y'], { transB }, { name: 'only' })],
    initializers: [tensor('w', dims, values)],
    inputs: [value('x', ['n', dims[transB]!])],
    outputs: [value('y', ['n', dims[1 - transB]!])],
  });

describe('what is tried', () => {
  test('prune zeros exactly the given share, the smallest magnitudes, the first ones on ties', () => {
    const weight = kernelOf(product([2, 4], [0.5, -0.1, 3, 0.2, -0.2, 4, 0.2, -1]), 'w');
    const pruned = (sparsity: number) => hostNumbers(toHost(applyTrial(weight, { kind: 'prune', sparsity })));
    expect(pruned(0.25)).toEqual([0.5, 0, 3, 0, Math.fround(-0.2), 4, Math.fround(0.2), -1]);
    expect(pruned(0.5)).toEqual([0.5, 0, 3, 0, 0, 4, 0, -1]);
    expect(pruned(1)).toEqual(new Array(8).fill(0));
  });

  test.each([
    [
      1,
      [
        [1.27, -0.014],
        [100, 55.3],
      ],
    ],
    [
      0,
      [
        [1.27, 100],
        [-0.014, 55.3],
      ],
    ],
  ] as const)('int8 has a scale for each output channel (transB %i)', (transB, rows) => {
    const codes = hostNumbers(
      toHost(applyTrial(kernelOf(product([2, 2], rows.flat(), transB), 'w'), { kind: 'int8', sparsity: null })),
    );
    // Channel [1.27, -0.014]: steps of 0.01; channel [100, 55.3]: steps of 100/127, 55.3 is 70.2 of them.
    const expected = transB ? [1.27, -0.01, 100, (70 * 100) / 127] : [1.27, 100, -0.01, (70 * 100) / 127];
    codes.forEach((code, i) => expect(code).toBeCloseTo(expected[i]!, 4));
  });

  test('one trial for each sparsity, in ascending order, and one for int8', () => {
    expect(trialsOf(parameters({ sparsities: [0.9, 0.5] }))).toEqual([
      { kind: 'prune', sparsity: 0.5 },
      { kind: 'prune', sparsity: 0.9 },
      { kind: 'int8', sparsity: null },
    ]);
    expect(trialsOf(parameters({ of: ['int8'] }))).toEqual([{ kind: 'int8', sparsity: null }]);
  });
});

/** Two branches that are added, of which the second is a thousandth of the first. */
function unequalBranches(): Model {
  const normal = seededNormal(2);
  const random = (scale: number) => Float32Array.from({ length: 24 }, () => normal() * scale);
  return modelOf({
    nodes: [
      makeNode('MatMul', ['x', 'small'], ['s'], {}, { name: 'aside' }),
      makeNode('MatMul', ['x', 'large'], ['l'], {}, { name: 'main' }),
      makeNode('Add', ['s', 'l'], ['y']),
    ],
    initializers: [tensor('small', [4, 6], random(0.001)), tensor('large', [4, 6], random(1))],
    inputs: [value('x', ['n', 4])],
    outputs: [value('y', ['n', 6])],
  });
}

test('sorts layers by their sensitivity and recommends to exclude those beyond the tolerance', async () => {
  const found = await sensitivity(
    unequalBranches(),
    { sparsities: [0.5] },
    contextFor(unequalBranches(), clouds({ labelled: false })),
  );
  // a tenth of the 270 training samples
  expect(found).toMatchObject({ metric: 'top1Agreement', baseline: null, data: 'validation', samples: 27 });
  expect(found.layers.map(({ weight, nodes, parameters: count }) => [weight, nodes, count])).toEqual([
    ['large', ['main', 'l'], 24],
    ['small', ['aside', 's'], 24],
  ]);
  expect(found.recommendations[0]).toEqual({ kind: 'prune', sparsity: 0.5, exclude: ['large'] });
  const { exclude } = (
    await sensitivity(
      unequalBranches(),
      { sparsities: [0.5], tolerance: 1 },
      contextFor(unequalBranches(), clouds({ labelled: false })),
    )
  ).recommendations[0]!;
  expect(exclude).toEqual([]);
});

test('with labels, a drop is lost accuracy on held-out samples: without last weights it says class 0', async () => {
  const data = clouds();
  const { model } = await retrain(initialState(perceptron()), { epochs: 3 }, contextFor(perceptron(), data));
  const bias = {
    ...model,
    graph: {
      ...model.graph,
      initializers: new Map([...model.graph.initializers, ['b2', tensor('b2', [3], [1, 0, 0])]]),
    },
  };
  const found = await sensitivity(
    bias,
    { of: ['prune'], sparsities: [1], layers: { include: ['second'] } },
    contextFor(bias, data),
  );
  const { validation } = trainAndValidation(data, 0.1, 3);
  const { inputs, size } = await validation.read(
    Int32Array.from({ length: validation.length }, (_, i) => i),
    {},
  );
  const outputs = (await runInOnnxRuntime(bias, { x: floats([size, 4], inputs.get('x')!.data as Float32Array) })).get(
    'y',
  )!.data as Float32Array;
  const predicted = Array.from({ length: size }, (_, i) =>
    [0, 1, 2].reduce((best, c) => (outputs[i * 3 + c]! > outputs[i * 3 + best]! ? c : best), 0),
  );
  const share = (classes: readonly number[]) => classes.filter((c, i) => c === validation.labels![i]).length / size;
  expect(found).toMatchObject({ metric: 'top1', samples: size, baseline: { top1: share(predicted) } });
  expect(found.layers).toHaveLength(1);
  expect(found.layers[0]!.drop).toBeCloseTo(share(predicted) - share(predicted.map(() => 0)), 12);
});

test('the int8 trial gives the outputs that the quantize step gives', async () => {
  const model = perceptron({ hidden: 64 });
  const data = clouds();
  const found = await sensitivity(model, { of: ['int8'], samples: 1000 }, contextFor(model, data));
  const { validation } = trainAndValidation(data, 0.1, 3);
  const heldOut: Dataset = { ...data, split: () => validation };
  for (const { weight, trials } of found.layers) {
    const given = Value.Default(quantizeSpec.parameters, {
      precision: 'int8',
      method: 'weight-only',
      layers: { include: [weight] },
    }) as Parameters<typeof quantize>[1];
    const { model: quantized } = await quantize(initialState(model), given, contextFor(model, data));
    const [, after] = await measureModels({
      original: writeOnnx(model),
      candidates: [writeOnnx(quantized)],
      dataset: heldOut,
      transform: {},
      seed: 0,
      latencyBudgetMs: 1,
    });
    // The same codes; only the order of float32 sums can differ, which is 1e-7 of an error of 1e-3.
    expect(trials[0]!.sqnrDb, weight).toBeCloseTo(after!.fidelity.sqnrDb!, 2);
  }
});

test('values: the loss grows; without data random inputs show the noise', async () => {
  const model = unequalBranches();
  const normal = seededNormal(4);
  const x = Float32Array.from({ length: 400 }, () => normal());
  const targets = (await runInOnnxRuntime(model, { x: floats([100, 4], x) })).get('y')!.data as Float32Array;
  const noisy = targets.map((target) => target + 0.1 * normal());
  const data = arrayDataset(
    'npz',
    new Map([
      [
        'train',
        { inputs: new Map([['x', arrayFrom('float32', [100, 4], x)]]), target: arrayFrom('float32', [100, 6], noisy) },
      ],
    ]),
    { name: 'y' },
  );
  const byLoss = await sensitivity(model, { of: ['prune'], sparsities: [1] }, contextFor(model, data));
  expect(byLoss).toMatchObject({ metric: 'loss', baseline: { top1: null } });
  // Noise of variance 0.01 is the whole loss; without the large branch it is the variance of the outputs, about 4,
  // hundreds of times that.
  expect(byLoss.layers[0]).toMatchObject({ weight: 'large' });
  expect(byLoss.layers[0]!.drop).toBeGreaterThan(100);
  expect(byLoss.layers[1]!.drop).toBeLessThan(0.1);

  const image = modelOf({
    nodes: [makeNode('Conv', ['x', 'k'], ['y'], { pads: [1, 1, 1, 1] }, { name: 'conv' })],
    initializers: [
      tensor(
        'k',
        [2, 1, 3, 3],
        Float32Array.from({ length: 18 }, () => normal()),
      ),
    ],
    inputs: [value('x', ['n', 1, 5, 5])],
    outputs: [value('y', ['n', 2, 5, 5])],
  });
  const byNoise = await sensitivity(image, { of: ['prune'], sparsities: [1] }, contextFor(image, null));
  expect(byNoise).toMatchObject({ metric: 'noise', data: 'random', samples: 16, baseline: null });
  expect(byNoise.layers[0]!.drop).toBe(1); // nothing is left: all of the signal is noise
});

describe('the samples', () => {
  test('are never from the test split, and as many as requested', async () => {
    const data = clouds();
    const split = (name: 'train' | 'validation' | 'test') => {
      if (name === 'test') throw new Error('the test split was read');
      return data.split(name);
    };
    expect(
      (await sensitivity(perceptron(), { of: ['int8'], samples: 20 }, contextFor(perceptron(), { ...data, split })))
        .samples,
    ).toBe(20);
  });

  test('an abort ends the trials; nothing is recorded', async () => {
    const stop = new AbortController();
    const context = contextFor(perceptron(), clouds(), {
      signal: stop.signal,
      report: () => stop.abort(new Error('canceled')),
    });
    await expect(apply(initialState(perceptron()), parameters(), context)).rejects.toThrow('canceled');
    expect(context.evidence).toEqual([]);
  });
});

test('warns of a filter that matches nothing and of a model without kernels', async () => {
  const none = contextFor(perceptron(), null);
  await apply(initialState(perceptron()), parameters({ layers: { include: ['third'] } }), none);
  expect([none.warnings, none.evidence]).toEqual([['nothing-to-analyze'], []]);
});
