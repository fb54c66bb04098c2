/**
 * A model with operators that only onnxruntime knows is described, checked, pruned, quantized and measured like any
 * other; it is not trained.
 */
import Value from 'typebox/value';
import { beforeAll, describe, expect, test } from 'vitest';
import { writeOnnx } from '../../src/compression/formats/onnx/write.ts';
import { describeModel } from '../../src/compression/graph/describe.ts';
import { makeNode } from '../../src/compression/ir/edit.ts';
import type { Model, Node } from '../../src/compression/ir/types.ts';
import { measureModels } from '../../src/compression/measure/measure.ts';
import { checkAgainstRuntime } from '../../src/compression/agreement/agreement.ts';
import { checkRuns } from '../../src/compression/recipe/runtime-check.ts';
import { TECHNIQUES } from '../../src/compression/techniques/registry.ts';
import { startEngine } from '../../src/compression/tensor/engine.ts';
import { modelOf, tensor, value } from '../support/graphs.ts';
import { clouds, randomTensor } from '../support/models.ts';
import { contextFor, initialState } from '../support/steps.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

/** Large enough that its weights are worth quantizing. */
const WIDTH = 64;
const samples = clouds({ features: WIDTH });

/** x [n, WIDTH] -> Gemm -> what is in between, from h to k -> Gemm -> y [n, 3]. */
function around(nodes: readonly Node[], initializers: Model['graph']['initializers'] = new Map()): Model {
  return modelOf({
    opset: 18,
    domains: { 'com.microsoft': 1 },
    nodes: [
      makeNode('Gemm', ['x', 'w1', 'b1'], ['h'], { transB: 1 }, { name: 'first' }),
      ...nodes,
      makeNode('Gemm', ['k', 'w2', 'b2'], ['y'], { transB: 1 }, { name: 'second' }),
    ],
    initializers: [
      randomTensor('w1', [WIDTH, WIDTH], 1),
      tensor('b1', [WIDTH], new Float32Array(WIDTH)),
      randomTensor('w2', [3, WIDTH], 2),
      tensor('b2', [3], new Float32Array(3)),
      ...initializers.values(),
    ],
    inputs: [value('x', ['n', WIDTH])],
    outputs: [value('y', ['n', 3])],
  });
}

const own = (type: string, inputs: readonly string[], outputs: readonly string[], attributes = {}) =>
  makeNode(type, inputs, outputs, attributes, { domain: 'com.microsoft', name: type });
const codes = (length: number) => Int8Array.from({ length }, (_, i) => ((i * 37) % 200) - 100);

const lstm = [
  makeNode('Unsqueeze', ['h', 'zero'], ['steps']),
  own('DynamicQuantizeLSTM', ['steps', 'w', 'r', '', '', '', '', '', 'ws', 'wz', 'rs', 'rz'], ['ys'], {
    hidden_size: WIDTH,
  }),
  makeNode('Reshape', ['ys', 'rows'], ['k']),
];
const lstmWeights = [
  tensor('zero', [1], [0], 'int64'),
  tensor('rows', [2], [-1, WIDTH], 'int64'),
  tensor('w', [1, WIDTH, 4 * WIDTH], codes(4 * WIDTH ** 2), 'int8'),
  tensor('r', [1, WIDTH, 4 * WIDTH], codes(4 * WIDTH ** 2), 'int8'),
  tensor('ws', [1], [0.004]),
  tensor('wz', [1], [0], 'int8'),
  tensor('rs', [1], [0.004]),
  tensor('rz', [1], [0], 'int8'),
];

const MODELS: readonly (readonly [string, string, Model])[] = [
  ['a float operator', 'Trilu', around([own('Trilu', ['h'], ['k'])])],
  [
    'one of codes, with its weights',
    'DynamicQuantizeLSTM',
    around(lstm, new Map(lstmWeights.map((item) => [item.name, item]))),
  ],
];

const RECIPES = [
  ['prune-weights', { sparsity: 0.5, epochs: 0 }],
  ['quantize', { precision: 'float16' }],
  ['quantize', { precision: 'bfloat16' }],
  ['quantize', { precision: 'int4' }],
  ['quantize', { precision: 'int8', method: 'weight-only' }],
  ['quantize', { precision: 'int8', method: 'dynamic' }],
  ['quantize', { precision: 'int8', method: 'static' }],
] as const;

describe.each(MODELS)('%s', (_, type, model) => {
  test('is described as untrainable, with the node and the reason', async () => {
    const description = describeModel(model, 'onnx');
    expect(description.operators[`com.microsoft.${type}`]).toBe(1);
    expect(description.outputs[0]!.shape).toEqual([null, 3]);
    const { trainable, untrainable } = await checkAgainstRuntime(writeOnnx(model), model);
    expect(trainable).toBe(false);
    expect(untrainable[0]).toMatchObject({ node: expect.stringContaining(type), operator: `com.microsoft.${type}` });
  });

  test.each(RECIPES)('%s %j: the node is kept, the result runs and is measured', async (name, given) => {
    const technique = TECHNIQUES.get(name)!;
    const parameters = Value.Default(technique.spec.parameters, {
      ...technique.spec.defaults?.(given, { trainable: false, data: 'labels' }),
      ...given,
    }) as Record<string, unknown>;
    const { model: after } = await technique.apply(initialState(model), parameters, contextFor(model, samples));
    expect(after.graph.nodes.find(({ opType }) => opType === type)).toMatchObject({ domain: 'com.microsoft' });
    const bytes = writeOnnx(after);
    expect(bytes).not.toEqual(writeOnnx(model));
    await checkRuns(bytes, { dataset: samples, transform: {}, technique: name });
    const [, measures] = await measureModels({
      original: writeOnnx(model),
      candidates: [bytes],
      dataset: null,
      transform: {},
      seed: 5,
      latencyBudgetMs: 1,
    });
    expect(measures!.fidelity.sqnrDb ?? Infinity).toBeGreaterThan(name === 'quantize' ? 15 : 0);
  });
});
