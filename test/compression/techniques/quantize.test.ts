import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Value from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Dataset } from '../../../src/compression/data/dataset.ts';
import { openDataset } from '../../../src/compression/data/open.ts';
import { readOnnx } from '../../../src/compression/formats/onnx/read.ts';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { makeNode } from '../../../src/compression/ir/edit.ts';
import { toHost } from '../../../src/compression/ir/tensor-data.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { countWeights } from '../../../src/compression/graph/weights.ts';
import { measureModels } from '../../../src/compression/measure/measure.ts';
import { openRuntime } from '../../../src/compression/measure/session.ts';
import { apply } from '../../../src/compression/techniques/quantize/apply.ts';
import { spec, type QuantizeParameters } from '../../../src/compression/techniques/quantize/spec.ts';
import { writeMnist } from '../../support/datasets.ts';
import { modelOf, spread, tensor, value } from '../../support/graphs.ts';
import { perceptron } from '../../support/models.ts';
import { contextFor, initialState, type TestContext } from '../../support/steps.ts';

const DIGITS = new URL('../../../examples/digit_cnn.onnx', import.meta.url);
const TRANSFORM = { scale: 1 / 255, mean: [0.1307], std: [0.3081] };
let folder: string;
let mnist: Dataset;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lathe-quantize-'));
  mnist = await openDataset(await writeMnist(join(folder, 'mnist.zip'), 1000, 2000), {});
});
afterAll(async () => {
  await mnist.close();
  await rm(folder, { recursive: true });
});

const settings = (given: Record<string, unknown>): QuantizeParameters =>
  Value.Default(spec.parameters, structuredClone(given)) as QuantizeParameters;
async function quantized(
  model: Model,
  given: Record<string, unknown>,
  context: TestContext = contextFor(model, null),
): Promise<Model> {
  return (await apply(initialState(model), settings(given), context)).model;
}
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
/** What computes the data of each convolution and product. */
function kernelInputs({ graph: { nodes } }: Model): string[] {
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node.opType] as const)));
  return nodes
    .filter(({ opType }) => opType === 'Conv' || opType === 'Gemm')
    .map(({ inputs }) => producers.get(inputs[0]!) ?? 'input');
}

const operators = (model: Model) => new Set(model.graph.nodes.map(({ opType }) => opType));

describe('digits', () => {
  it.each([
    [{ precision: 'int8' }, 0.27, 40, 0.001],
    [{ precision: 'int8', calibration: { method: 'min-max' } }, 0.27, 40, 0.001],
    [{ precision: 'int8', calibration: { method: 'percentile' } }, 0.27, 35, 0.001],
    [{ precision: 'int8', calibration: { method: 'mse' } }, 0.27, 40, 0.001],
    [{ precision: 'int8', calibration: { method: 'entropy' } }, 0.27, 8, 0.005],
    [{ precision: 'int8', activations: 'int8' }, 0.27, 40, 0.001],
    [{ precision: 'int8', perChannel: false, symmetric: false }, 0.27, 38, 0.001],
    [{ precision: 'int8', reduceRange: true }, 0.27, 35, 0.001],
    [{ precision: 'int8', method: 'weight-only' }, 0.27, 45, 0.001],
    [{ precision: 'int8', method: 'weight-only', symmetric: false, blockSize: 64 }, 0.3, 48, 0.001],
    [{ precision: 'int8', method: 'dynamic' }, 0.27, 42, 0.001],
    [{ precision: 'int4' }, 0.18, 24, 0.003],
    [{ precision: 'int4', symmetric: false, blockSize: 16 }, 0.26, 28, 0.003],
    [{ precision: 'float16' }, 0.51, 65, 0.0005],
    [{ precision: 'float16', keepIO: false }, 0.51, 60, 0.0005],
    [{ precision: 'float16', method: 'weight-only' }, 0.51, 65, 0.0005],
    [{ precision: 'bfloat16' }, 0.51, 50, 0.001],
  ])('%j: small, near and as accurate', async (given, size, decibels, loss) => {
    const bytes = readFileSync(DIGITS);
    const model = readOnnx(bytes);
    const file = writeOnnx(await quantized(model, given, contextFor(model, mnist, { transform: TRANSFORM })));
    const [before, after] = await measureModels({
      original: bytes,
      candidates: [file],
      dataset: mnist,
      transform: TRANSFORM,
      seed: 1,
      latencyBudgetMs: 1,
    });
    expect(after!.sizeBytes / before!.sizeBytes).toBeLessThan(size);
    expect(after!.fidelity.sqnrDb!).toBeGreaterThan(decibels);
    expect(after!.accuracy!.top1!).toBeGreaterThanOrEqual(before!.accuracy!.top1! - loss);
    expect(after!.parameters).toBe(before!.parameters);
  });

  it('computes in integers from end to end if requested', async () => {
    const model = readOnnx(readFileSync(DIGITS));
    const small = await quantized(model, { where: 'everywhere' }, contextFor(model, mnist, { transform: TRANSFORM }));
    expect(operators(small)).not.toContain('Relu'); // the quantizers clamp
    expect(kernelInputs(small)).toEqual(new Array<string>(5).fill('DequantizeLinear'));
  });

  it('computes in float what reads a narrow image, in integers the rest, and faster', async () => {
    const bytes = readFileSync(DIGITS);
    const model = readOnnx(bytes);
    const context = contextFor(model, mnist, { transform: TRANSFORM });
    const small = await quantized(model, {}, context);
    expect(kernelInputs(small)).toEqual(['input', ...new Array<string>(4).fill('DequantizeLinear')]);
    const [before, after] = await measureModels({
      original: bytes,
      candidates: [writeOnnx(small)],
      dataset: mnist,
      transform: TRANSFORM,
      seed: 1,
    });
    expect(after!.latencyMs!.median).toBeLessThan(0.85 * before!.latencyMs!.median); // 0.5 on an idle machine with VNNI
  });

  it('gives the same bytes for the same seed, and stops on abort', async () => {
    const model = readOnnx(readFileSync(DIGITS));
    const once = async (seed: number) =>
      Buffer.from(
        writeOnnx(
          await quantized(
            model,
            { calibration: { samples: 32 } },
            contextFor(model, mnist, { transform: TRANSFORM, seed }),
          ),
        ),
      );
    const first = await once(1);
    expect((await once(1)).equals(first)).toBe(true);
    expect((await once(2)).equals(first)).toBe(false);
    const controller = new AbortController();
    const context = contextFor(model, mnist, {
      transform: TRANSFORM,
      signal: controller.signal,
      report: () => controller.abort(),
    });
    await expect(quantized(model, {}, context)).rejects.toThrow(
      expect.objectContaining({ name: 'AbortError' }) as Error,
    );
  });

  it('keeps pruned weights at zero', async () => {
    const model = readOnnx(readFileSync(DIGITS));
    const initializers = new Map(
      [...model.graph.initializers].map(([name, weight]) => [
        name,
        weight.dims.length < 2
          ? weight
          : tensor(
              name,
              weight.dims,
              (toHost(weight).data as Float32Array).map((w) => (Math.abs(w) < 0.03 ? 0 : w)),
            ),
      ]),
    );
    const pruned: Model = { ...model, graph: { ...model.graph, initializers } };
    const { nonZero } = countWeights(pruned.graph);
    expect(nonZero).toBeLessThan(300_000);
    for (const given of [
      {},
      { method: 'weight-only' },
      { method: 'weight-only', symmetric: false },
      { perChannel: false, symmetric: false },
      { precision: 'int4' },
      { method: 'dynamic' },
    ]) {
      const small = await quantized(pruned, given, contextFor(model, mnist, { transform: TRANSFORM }));
      expect(countWeights(small.graph).nonZero, JSON.stringify(given)).toBeLessThanOrEqual(nonZero);
    }
  });

  it('leaves alone what is quantized already', async () => {
    const model = readOnnx(readFileSync(DIGITS));
    for (const given of [{ method: 'weight-only' }, {}]) {
      const small = await quantized(model, given, contextFor(model, mnist, { transform: TRANSFORM }));
      const context = contextFor(small, mnist, { transform: TRANSFORM });
      const again = await apply(initialState(small), settings({}), context);
      expect(again.model).toBe(small);
      expect(context.warnings).toEqual(['already-quantized', 'nothing-to-quantize']);
    }
  });

  it('says which weights take 8 bits instead of the requested 4', async () => {
    const model = perceptron({ features: 40, hidden: 41 }); // 1,640 and 123 elements
    const context = contextFor(model, null);
    const { model: small } = await apply(initialState(model), settings({ precision: 'int4' }), context);
    expect(context.warnings).toEqual(['int4-as-int8']);
    const eight = await apply(
      initialState(model),
      settings({ precision: 'int8', method: 'weight-only' }),
      contextFor(model, null),
    );
    expect(writeOnnx(small)).toEqual(writeOnnx(eight.model));
    const large = contextFor(model, null);
    await apply(initialState(perceptron({ features: 64, hidden: 64 })), settings({ precision: 'int4' }), large);
    expect(large.warnings).toEqual([]);
  });

  it('changes nothing with neutral parameters', async () => {
    const model = readOnnx(readFileSync(DIGITS));
    expect(await quantized(model, spec.neutral)).toBe(model);
  });

  it('quantizes the layers that are asked for', async () => {
    const model = readOnnx(readFileSync(DIGITS));
    const small = await quantized(
      model,
      { layers: { include: ['fc_layers.*'], exclude: ['fc_layers.2.weight'] } },
      contextFor(model, mnist, { transform: TRANSFORM }),
    );
    const floats = [...small.graph.initializers.values()]
      .filter(({ dtype, dims }) => dtype === 'float32' && dims.length > 1)
      .map(({ name }) => name);
    expect(floats).toEqual([
      'conv_layers.0.weight',
      'conv_layers.3.weight',
      'conv_layers.6.weight',
      'fc_layers.2.weight',
    ]);
  });
});

/** Graphs that bring out one thing each. */
const image = value('x', ['n', 8, 12, 12]);
const conv = (name: string, out: number, inputs: number, k = 3, seed = 1) =>
  tensor(
    name,
    [out, inputs, k, k],
    spread(out * inputs * k * k, seed).map((w) => w / Math.sqrt(inputs * k * k)),
  );
const MICROSOFT = { domain: 'com.microsoft' };
const CASES: Readonly<Record<string, Model>> = {
  'residual with Clip, and a depthwise kernel': modelOf({
    nodes: [
      makeNode('Conv', ['x', 'a', 'ab'], ['c1'], { pads: [1, 1, 1, 1] }),
      makeNode('Clip', ['c1', 'zero', 'six'], ['r1']),
      makeNode('Conv', ['r1', 'd'], ['c2'], { pads: [1, 1, 1, 1], group: 16 }),
      makeNode('Add', ['c2', 'r1'], ['s']),
      makeNode('Relu', ['s'], ['r2']),
      makeNode('Conv', ['r2', 'b'], ['y'], {}),
    ],
    initializers: [
      conv('a', 16, 8),
      tensor('ab', [16], spread(16)),
      conv('d', 16, 1, 3, 2),
      conv('b', 4, 16, 1, 3),
      tensor('zero', [], [0]),
      tensor('six', [], [6]),
    ],
    inputs: [image],
    outputs: [value('y', ['n', 4, 12, 12])],
  }),
  'BatchNormalization, Concat, pooling, Gemm with factors': modelOf({
    nodes: [
      makeNode('Conv', ['x', 'a'], ['c1'], { pads: [1, 1, 1, 1] }),
      makeNode('BatchNormalization', ['c1', 'scale', 'shift', 'mean', 'variance'], ['n1']),
      makeNode('Relu', ['n1'], ['r1']),
      makeNode('Conv', ['x', 'b'], ['c2'], {}),
      makeNode('Concat', ['r1', 'c2'], ['cat'], { axis: 1 }),
      makeNode('MaxPool', ['cat'], ['p'], { kernel_shape: [2, 2], strides: [2, 2] }),
      makeNode('Conv', ['p', 'd'], ['c3'], {}),
      makeNode('GlobalAveragePool', ['c3'], ['g']),
      makeNode('Flatten', ['g'], ['f']),
      makeNode('Gemm', ['f', 'w', 'wb'], ['y'], { alpha: { float: 0.5 }, beta: { float: 2 } }),
    ],
    initializers: [
      conv('a', 8, 8),
      conv('b', 8, 8, 1, 2),
      conv('d', 16, 16, 3, 3),
      tensor('w', [16, 10], spread(160)),
      tensor('wb', [10], spread(10)),
      tensor(
        'scale',
        [8],
        spread(8, 2).map((v) => 1 + v / 2),
      ),
      tensor('shift', [8], spread(8, 3)),
      tensor(
        'mean',
        [8],
        spread(8, 4).map((v) => v / 9),
      ),
      tensor(
        'variance',
        [8],
        spread(8, 5).map((v) => 1 + v / 2),
      ),
    ],
    inputs: [image],
    outputs: [value('y', ['n', 10])],
  }),
  'ConvTranspose, Resize and weights in Constant nodes': modelOf({
    nodes: [
      makeNode('Constant', [], ['a'], { value: { kind: 'tensor', value: conv('a', 16, 8) } }),
      makeNode('Conv', ['x', 'a'], ['c']),
      makeNode('Relu', ['c'], ['r']),
      makeNode('ConvTranspose', ['r', 't'], ['u'], { strides: [2, 2] }),
      makeNode('Resize', ['u', '', 'scales'], ['z'], { mode: 'nearest' }),
      makeNode('Conv', ['z', 'b'], ['y'], {}),
    ],
    initializers: [
      tensor(
        't',
        [16, 8, 2, 2],
        spread(512, 2).map((v) => v / 5),
      ),
      conv('b', 8, 8, 1, 3),
      tensor('scales', [4], [1, 1, 2, 2]),
    ],
    inputs: [image],
    outputs: [value('y', null)],
  }),
  'convolutions, products and attention fused by onnxruntime': modelOf({
    nodes: [
      makeNode('FusedConv', ['x', 'a', 'ab'], ['c1'], { pads: [1, 1, 1, 1], activation: 'Relu' }, MICROSOFT),
      makeNode('FusedConv', ['c1', 'd', '', 'c1'], ['c2'], { pads: [1, 1, 1, 1], activation: 'Relu' }, MICROSOFT),
      makeNode('Flatten', ['c2'], ['f'], { axis: 2 }),
      makeNode('FusedMatMul', ['f', 'm'], ['p'], { transB: 1, alpha: { float: 0.1 } }, MICROSOFT),
      makeNode('Reshape', ['p', 'sequence'], ['s']),
      makeNode('Attention', ['s', 'w', 'wb'], ['y'], { num_heads: 2 }, MICROSOFT),
    ],
    initializers: [
      conv('a', 16, 8),
      tensor('ab', [16], spread(16)),
      conv('d', 16, 16, 3, 2),
      tensor('m', [16, 144], spread(2304, 3)),
      tensor('sequence', [3], [-1, 16, 16], 'int64'),
      tensor(
        'w',
        [16, 48],
        spread(768, 4).map((v) => v / 4),
      ),
      tensor('wb', [48], spread(48)),
    ],
    inputs: [image],
    outputs: [value('y', null)],
    domains: { 'com.microsoft': 1 },
  }),
  'a kernel used twice': modelOf({
    nodes: [
      makeNode('Conv', ['x', 'a'], ['c1'], { pads: [1, 1, 1, 1] }),
      makeNode('Relu', ['c1'], ['r1']),
      makeNode('Conv', ['r1', 'a'], ['c2'], { pads: [1, 1, 1, 1] }),
      makeNode('Sigmoid', ['c2'], ['y']),
    ],
    initializers: [conv('a', 8, 8)],
    inputs: [image],
    outputs: [value('y', null)],
  }),
  'sequences: MatMul of rank 3, Transpose, Softmax, an embedding, two outputs': modelOf({
    nodes: [
      makeNode('Gather', ['table', 'ids'], ['e']),
      makeNode('MatMul', ['e', 'q'], ['mq']),
      makeNode('Add', ['mq', 'qb'], ['q1']),
      makeNode('MatMul', ['e', 'k'], ['k1']),
      makeNode('Transpose', ['k1'], ['kt'], { perm: [0, 2, 1] }),
      makeNode('MatMul', ['q1', 'kt'], ['s']),
      makeNode('Softmax', ['s'], ['p'], { axis: -1 }),
      makeNode('MatMul', ['p', 'e'], ['o']),
      makeNode('MatMul', ['o', 'w'], ['y']),
    ],
    initializers: [
      tensor('table', [50, 16], spread(800)),
      tensor(
        'q',
        [16, 16],
        spread(256, 2).map((v) => v / 4),
      ),
      tensor('qb', [16], spread(16)),
      tensor(
        'k',
        [16, 16],
        spread(256, 3).map((v) => v / 4),
      ),
      tensor('w', [16, 24], spread(384, 4)),
    ],
    inputs: [value('ids', ['n', 'length'], 'int64')],
    outputs: [value('y', ['n', 'length', 24]), value('p', ['n', 'length', 'length'])],
  }),
  'opset 9: Clip, Pad and Softmax in their old form': modelOf({
    nodes: [
      makeNode('Pad', ['x'], ['p'], { pads: [0, 0, 1, 1, 0, 0, 1, 1], value: { float: 0 } }),
      makeNode('Conv', ['p', 'a'], ['c']),
      makeNode('Clip', ['c'], ['r'], { min: { float: 0 }, max: { float: 1 } }),
      makeNode('Conv', ['r', 'b'], ['d']),
      makeNode('Softmax', ['d'], ['y'], { axis: 1 }),
    ],
    initializers: [conv('a', 16, 8), conv('b', 4, 16, 1, 2)],
    inputs: [image],
    outputs: [value('y', null)],
    opset: 9,
  }),
  'weights inside an If': modelOf({
    nodes: [
      makeNode('ReduceSum', ['x'], ['sum'], { keepdims: 0 }),
      makeNode('Greater', ['sum', 'zero'], ['positive']),
      makeNode('If', ['positive'], ['y'], { then_branch: branch('t', 1), else_branch: branch('e', 2) }),
    ],
    initializers: [tensor('zero', [], [0])],
    inputs: [value('x', ['n', 16])],
    outputs: [value('y', ['n', 32])],
  }),
};

function branch(name: string, seed: number) {
  const graph = {
    name,
    nodes: [makeNode('MatMul', ['x', `${name}w`], [`${name}y`])],
    initializers: new Map([[`${name}w`, tensor(`${name}w`, [16, 32], spread(512, seed))]]),
    inputs: [],
    outputs: [value(`${name}y`, ['n', 32])],
    valueInfos: [],
  };
  return { kind: 'graph' as const, value: graph };
}

describe.each(Object.entries(CASES))('%s', (_name, model) => {
  it.each([
    ['static', { where: 'everywhere' }, 22],
    ['static, where faster', {}, 22],
    ['weight-only', { method: 'weight-only' }, 30],
    ['dynamic', { method: 'dynamic' }, 25],
    ['float16', { precision: 'float16' }, 50],
    ['float16 at the border too', { precision: 'float16', keepIO: false }, 40],
    ['bfloat16', { precision: 'bfloat16' }, 40],
    ['int4', { precision: 'int4', blockSize: 16 }, 15],
  ])('%s', async (_method, given, decibels) => {
    const candidate = await quantized(model, given);
    const { fidelity } = await quality(model, candidate);
    expect(fidelity.sqnrDb ?? Infinity).toBeGreaterThan(decibels);
  });

  it('has no weights left that are float32', async () => {
    for (const given of [{}, { method: 'weight-only' }, { method: 'dynamic' }]) {
      const large = [...(await quantized(model, given)).graph.initializers.values()].filter(
        ({ dtype, dims }) => dtype === 'float32' && dims.length > 1 && dims.reduce((a, b) => a * b, 1) > 100,
      );
      expect(large.map(({ name }) => name)).toEqual([]);
    }
  });
});

describe('float16', () => {
  it('keeps in float32 what leaves its range, and bounds within it', async () => {
    const model = modelOf({
      nodes: [
        makeNode('Mul', ['x', 'large'], ['big']),
        makeNode('Mul', ['big', 'small'], ['back']),
        makeNode('Clip', ['back', '', 'top'], ['clipped']),
        makeNode('MatMul', ['clipped', 'w'], ['m']),
        makeNode('Add', ['m', 'epsilon'], ['shifted']),
        makeNode('Div', ['shifted', 'shifted'], ['y']),
      ],
      initializers: [
        tensor('large', [], [3e5]),
        tensor('small', [], [1e-5]),
        tensor('top', [], [3e38]),
        tensor('w', [8, 16], new Float32Array(128)),
        tensor('epsilon', [1], [1e-9]),
      ],
      inputs: [value('x', ['n', 8])],
      outputs: [value('y', ['n', 16])],
    });
    const half = await quantized(model, { precision: 'float16' });
    const { fidelity } = await quality(model, half);
    expect(fidelity.maxAbsError).toBe(0); // 0 + epsilon over itself is 1, not NaN
    expect(half.graph.initializers.get('large')!.dtype).toBe('float32');
  });

  it('leaves the scales of integer operators as they are', async () => {
    const constants = [
      tensor('s', [], [0.05]),
      tensor('z', [], [128], 'uint8'),
      tensor(
        'k',
        [4, 2, 1, 1],
        Float32Array.from({ length: 8 }, (_, i) => 131 - 4 * i),
        'uint8',
      ),
      tensor(
        'm',
        [4, 4],
        Float32Array.from({ length: 16 }, (_, i) => 150 - 3 * i),
        'uint8',
      ),
    ];
    const scales = ['s', 'z'] as const;
    const model = modelOf({
      nodes: [
        makeNode('Sigmoid', ['x'], ['a']),
        makeNode('QuantizeLinear', ['a', ...scales], ['q']),
        makeNode('QLinearConv', ['q', ...scales, 'k', ...scales, ...scales], ['c']),
        makeNode('QLinearMatMul', ['c', ...scales, 'm', ...scales, ...scales], ['p']),
        makeNode('DequantizeLinear', ['p', ...scales], ['d']),
        makeNode('Tanh', ['d'], ['y']),
      ],
      initializers: constants,
      inputs: [value('x', ['n', 2, 4, 4])],
      outputs: [value('y', null)],
    });
    const half = await quantized(model, { precision: 'float16' });
    expect((await quality(model, half)).fidelity.maxAbsError).toBeLessThan(2 ** -10); // of tanh, rounded to 11 bits
  });

  it.each([
    [
      [1, 0, 2],
      [3, 5, 8],
    ],
    [
      [1, 2, 0],
      [8, 3, 5],
    ],
  ])(
    'leaves transpositions %j in float32, whose half form in front of a product onnxruntime does not survive',
    async (perm, shape) => {
      const model = modelOf({
        nodes: [makeNode('Transpose', ['x'], ['t'], { perm }), makeNode('MatMul', ['t', 'w'], ['y'])],
        initializers: [tensor('w', [8, 16], spread(128))],
        inputs: [value('x', shape)],
        outputs: [value('y', null)],
      });
      const half = await quantized(model, { precision: 'float16', keepIO: false });
      expect(half.graph.nodes.map(({ opType }) => opType)).toEqual(['Cast', 'Transpose', 'Cast', 'MatMul']);
      expect((await quality(model, half)).fidelity.sqnrDb!).toBeGreaterThan(50);
    },
  );

  it('changes the types at the border only when asked, and goes back to float32', async () => {
    const model = readOnnx(readFileSync(DIGITS));
    const half = await quantized(model, { precision: 'float16', keepIO: false });
    expect([half.graph.inputs[0]!.type!.dtype, half.graph.outputs[0]!.type!.dtype]).toEqual(['float16', 'float16']);
    expect(operators(half)).not.toContain('Cast');
    const single = await quantized(half, { precision: 'float32', keepIO: false });
    expect([single.graph.inputs[0]!.type!.dtype, single.graph.outputs[0]!.type!.dtype]).toEqual(['float32', 'float32']);
    const kept = await quantized(half, { precision: 'float32' });
    expect([kept.graph.inputs[0]!.type!.dtype, kept.graph.outputs[0]!.type!.dtype]).toEqual(['float16', 'float16']);
    for (const file of [single, kept]) await (await openRuntime(writeOnnx(file))).release();
    const int8 = await quantized(half, { method: 'weight-only' });
    expect((await quality(half, int8)).fidelity.sqnrDb!).toBeGreaterThan(35);
  });

  it('quantizes a float64 model', async () => {
    const model = modelOf({
      nodes: [makeNode('MatMul', ['x', 'w'], ['y'])],
      initializers: [tensor('w', [16, 16], spread(256), 'float64')],
      inputs: [value('x', ['n', 16], 'float64')],
      outputs: [value('y', ['n', 16], 'float64')],
    });
    for (const given of [{ precision: 'float32' }, { precision: 'float16' }, {}, { method: 'weight-only' }])
      expect((await quality(model, await quantized(model, given))).fidelity.sqnrDb!).toBeGreaterThan(30);
  });
});

describe('parameters', () => {
  it.each([
    [{ precision: 'int8', method: 'cast' }, '/method'],
    [{ precision: 'float16', method: 'static' }, '/method'],
    [{ symmetric: false }, '/symmetric'],
    [{ method: 'dynamic', symmetric: false }, '/symmetric'],
    [{ blockSize: 32 }, '/blockSize'],
    [{ precision: 'float16', method: 'weight-only', blockSize: 32 }, '/blockSize'],
  ])('%j contradict each other', (given, path) => {
    expect(spec.contradictions!(settings(given)).map((problem) => problem.path)).toEqual([path]);
  });
  it('knows no method aware yet', () => {
    expect(Value.Check(spec.parameters, settings({ method: 'aware' }))).toBe(false);
  });
  it('warns that random inputs make poor ranges', async () => {
    const model = CASES['a kernel used twice']!;
    const context = contextFor(model, null);
    await quantized(model, {}, context);
    expect(context.warnings).toContain('calibrated-on-random-inputs');
  });
  it('warns of few samples', async () => {
    const model = readOnnx(readFileSync(DIGITS));
    const seen = async (samples: number) => {
      const context = contextFor(model, mnist, { transform: TRANSFORM });
      await quantized(model, { calibration: { method: 'min-max', samples } }, context);
      return context.warnings;
    };
    expect(await seen(8)).toContain('few-calibration-samples');
    expect(await seen(32)).not.toContain('few-calibration-samples');
  });
  it('warns of weights that operators take as floats only', async () => {
    const held = (size: number) =>
      modelOf({
        nodes: [
          makeNode('MatMul', ['x', 'a'], ['h']),
          makeNode('Trilu', ['b'], ['lower'], {}, MICROSOFT),
          makeNode('MatMul', ['h', 'lower'], ['y']),
        ],
        initializers: [tensor('a', [64, size], spread(64 * size)), tensor('b', [size, size], spread(size ** 2, 2))],
        inputs: [value('x', ['n', 64])],
        outputs: [value('y', null)],
        domains: { 'com.microsoft': 1 },
      });
    const warnings = async (model: Model, given = {}) => {
      const context = contextFor(model, null);
      await quantized(model, { method: 'weight-only', ...given }, context);
      return context.warnings;
    };
    expect(await warnings(held(64))).toEqual(['weights-left-in-float']); // half of all values
    expect(await warnings(held(12))).toEqual([]); // 144 of 912
    expect(await warnings(held(64), { layers: { exclude: ['b'] } })).toEqual([]); // as it was asked
  });
  it('takes half floats for floats', async () => {
    const half = await quantized(readOnnx(readFileSync(DIGITS)), { precision: 'float16' });
    const context = contextFor(half, null);
    expect(countWeights((await quantized(half, { method: 'weight-only' }, context)).graph).parameters).toBe(
      countWeights(half.graph).parameters,
    );
    expect(context.warnings).toEqual([]);
  });
});
