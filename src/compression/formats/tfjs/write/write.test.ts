import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import type * as tfjs from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { modelOf, spread, tensor, value } from '../../../../../test/support/graphs.ts';
import { projectRoot } from '../../../../process/entry.ts';
import { makeNode, type AttributeValue } from '../../../ir/edit.ts';
import { modelInputs } from '../../../graph/describe.ts';
import type { Model, Tensor } from '../../../ir/types.ts';
import { tf } from '../../../tensor/tf.ts';
import { readOnnx } from '../../onnx/read.ts';
import { writeOnnx } from '../../onnx/write.ts';
import { readTfjs } from '../read.ts';
import { writeTfjs, type TfjsOptions } from './write.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

interface Result {
  readonly dims: readonly number[];
  readonly data: ArrayLike<number>;
}

const int64 = (model: Model, name: string): boolean =>
  model.graph.inputs.find((input) => input.name === name)?.type?.dtype === 'int64';

/** The files in TF.js's own runtime. */
async function runInTfjs(
  files: ReadonlyMap<string, Uint8Array>,
  model: Model,
  feeds: Readonly<Record<string, Result>>,
): Promise<Map<string, Result>> {
  const json = JSON.parse(Buffer.from(files.get('model.json')!).toString()) as {
    modelTopology: object;
    signature: object;
    format: string;
    weightsManifest: { paths: string[]; weights: tfjs.io.WeightsManifestEntry[] }[];
  };
  const group = json.weightsManifest[0]!;
  const data = Buffer.concat(group.paths.map((path) => files.get(path)!));
  const weightData = data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
  const graph = await tf.loadGraphModel({ load: async () => ({ ...json, weightSpecs: group.weights, weightData }) });
  const inputs = Object.fromEntries(
    Object.entries(feeds).map(([name, { dims, data: values }]) => [
      name,
      tf.tensor(Array.from(values), [...dims], int64(model, name) ? 'int32' : 'float32'),
    ]),
  );
  const names = model.graph.outputs.map(({ name }) => name);
  const results = await graph.executeAsync(inputs, names);
  const tensors = Array.isArray(results) ? results : [results];
  return new Map(
    await Promise.all(
      names.map(async (name, i) => [name, { dims: tensors[i]!.shape, data: await tensors[i]!.data() }] as const),
    ),
  );
}

async function runInOrt(model: Model, feeds: Readonly<Record<string, Result>>): Promise<Map<string, Result>> {
  const session = await ort.InferenceSession.create(writeOnnx(model), { logSeverityLevel: 3 });
  const results = await session.run(
    Object.fromEntries(
      Object.entries(feeds).map(([name, { dims, data }]) => [
        name,
        int64(model, name)
          ? new ort.Tensor('int64', BigInt64Array.from(data as number[], BigInt), [...dims])
          : new ort.Tensor('float32', Float32Array.from(data), [...dims]),
      ]),
    ),
  );
  return new Map(
    session.outputNames.map((name) => [
      name,
      { dims: results[name]!.dims, data: Array.from(results[name]!.data as ArrayLike<number>, Number) },
    ]),
  );
}

function feedsOf(model: Model, sizes: Readonly<Record<string, number>> = {}): Record<string, Result> {
  return Object.fromEntries(
    modelInputs(model.graph).map(({ name, type }) => {
      const dims = type!.shape!.map((dim) => (typeof dim === 'number' ? dim : (sizes[dim ?? ''] ?? 2)));
      const length = dims.reduce((a, b) => a * b, 1);
      return [
        name,
        { dims, data: type!.dtype === 'int64' ? Float32Array.from({ length }, (_, i) => i % 3) : spread(length, 3) },
      ];
    }),
  );
}

/** Largest difference relative to the range of each output. */
async function error(
  model: Model,
  options: TfjsOptions = {},
  sizes: Readonly<Record<string, number>> = {},
): Promise<number> {
  const feeds = feedsOf(model, sizes);
  const [expected, actual] = [await runInOrt(model, feeds), await runInTfjs(writeTfjs(model, options), model, feeds)];
  let worst = 0;
  for (const [name, { dims, data }] of expected) {
    const other = actual.get(name)!;
    expect(other.dims).toEqual(dims);
    const range = Math.max(...Array.from(data, Math.abs), 1e-6);
    for (let i = 0; i < data.length; i++) worst = Math.max(worst, Math.abs(data[i]! - other.data[i]!) / range);
  }
  return worst;
}

const digits = readOnnx(readFileSync(join(projectRoot, 'examples', 'digit_cnn.onnx')));

describe('the example model', () => {
  it('computes the same in TF.js', async () => expect(await error(digits)).toBeLessThan(1e-5));

  it('has no transposes but at its input and before its dense layers', () => {
    const { modelTopology } = JSON.parse(Buffer.from(writeTfjs(digits).get('model.json')!).toString()) as {
      modelTopology: { node: { op: string }[] };
    };
    expect(modelTopology.node.filter(({ op }) => op === 'Transpose').length).toBeLessThanOrEqual(2);
  });

  // The step of each form: 2^-11 relative for float16; 1/65535 and 1/255 of a weight's range, which some thousand terms
  // average out.
  it.each([
    ['float16', 2e-3, 0.51],
    ['uint16', 1e-3, 0.51],
    ['uint8', 0.1, 0.27],
  ] as const)('in %s shards stays close, and is smaller', async (weights, tolerance, size) => {
    expect(await error(digits, { weights })).toBeLessThan(tolerance);
    const bytes = (files: Map<string, Uint8Array>): number =>
      [...files].reduce((sum, [name, content]) => sum + (name === 'model.json' ? 0 : content.length), 0);
    expect(bytes(writeTfjs(digits, { weights })) / bytes(writeTfjs(digits))).toBeLessThan(size);
  });

  it('comes back from TF.js as it went', async () => {
    const { model, format } = readTfjs(writeTfjs(digits));
    expect(format).toBe('tfjs-graph');
    const feeds = feedsOf(digits);
    const [expected, actual] = [
      [...(await runInOrt(digits, feeds)).values()][0]!,
      [...(await runInOrt(model, { [model.graph.inputs[0]!.name]: feeds['input']! })).values()][0]!,
    ];
    for (let i = 0; i < expected.data.length; i++) expect(actual.data[i]!).toBeCloseTo(expected.data[i]!, 4);
  });

  it('keeps pruned weights at zero in uint8', () => {
    const name = [...digits.graph.initializers.values()].find(({ dims }) => dims.length === 4)!.name;
    const old = digits.graph.initializers.get(name)!;
    const count = old.dims.reduce((a, b) => a * b, 1);
    const sparse = tensor(
      name,
      old.dims,
      spread(count).map((v, i) => (i % 3 === 0 ? v : 0)),
    );
    const back = readTfjs(
      writeTfjs(
        { ...digits, graph: { ...digits.graph, initializers: new Map(digits.graph.initializers).set(name, sparse) } },
        { weights: 'uint8' },
      ),
    );
    const zeros = [...back.model.graph.initializers.values()].map(({ bytes, dtype, dims }) =>
      dtype === 'float32' && dims.length === 4
        ? [...new Float32Array(bytes.slice().buffer)].filter((v) => v === 0).length
        : 0,
    );
    expect(Math.max(...zeros)).toBeGreaterThanOrEqual(Math.floor((count * 2) / 3));
  });
});

const ints = (name: string, values: readonly number[]): Tensor => tensor(name, [values.length], values, 'int64');
const w = (...dims: number[]): Tensor => tensor('w', dims, spread(dims.reduce((a, b) => a * b, 1)));
const b = (n: number): Tensor => tensor('b', [n], spread(n, 7));
const s = (name: string, v: number): Tensor => tensor(name, [], [v]);

interface Case {
  readonly inputs?: readonly string[];
  readonly attributes?: Record<string, AttributeValue>;
  readonly initializers?: readonly Tensor[];
  readonly outputs?: number;
  readonly opset?: number;
  readonly type?: string;
  readonly dtype?: 'float32' | 'int64';
}
const f = (float: number): AttributeValue => ({ float });

describe('operators', () => {
  it.each<[string, (number | string)[], Case]>([
    [
      'Conv',
      ['n', 3, 8, 9],
      { inputs: ['w', 'b'], initializers: [w(4, 3, 3, 3), b(4)], attributes: { pads: [1, 1, 1, 1] } },
    ],
    [
      'Conv strided, uneven pads',
      ['n', 3, 8, 9],
      { inputs: ['w'], initializers: [w(4, 3, 3, 2)], attributes: { pads: [0, 1, 2, 1], strides: [2, 3] } },
    ],
    [
      'Conv dilated',
      ['n', 2, 9, 9],
      { inputs: ['w'], initializers: [w(3, 2, 3, 3)], attributes: { dilations: [2, 2] } },
    ],
    [
      'Conv depthwise',
      [2, 4, 8, 8],
      {
        inputs: ['w', 'b'],
        initializers: [w(8, 1, 3, 3), b(8)],
        attributes: { group: 4, strides: [2, 2], pads: [1, 1, 1, 1] },
      },
    ],
    ['Conv grouped', [2, 4, 8, 8], { inputs: ['w'], initializers: [w(6, 2, 3, 3)], attributes: { group: 2 } }],
    [
      'Conv 1-D',
      ['n', 3, 12],
      { inputs: ['w', 'b'], initializers: [w(4, 3, 3), b(4)], attributes: { pads: [1, 1], strides: [2] } },
    ],
    [
      'Conv 3-D',
      [1, 2, 5, 5, 5],
      { inputs: ['w', 'b'], initializers: [w(3, 2, 2, 3, 3), b(3)], attributes: { pads: [0, 1, 1, 1, 1, 1] } },
    ],
    [
      'Conv SAME_UPPER',
      ['n', 3, 8, 9],
      { inputs: ['w'], initializers: [w(4, 3, 3, 3)], attributes: { auto_pad: 'SAME_UPPER', strides: [2, 2] } },
    ],
    [
      'ConvTranspose',
      ['n', 3, 5, 6],
      {
        inputs: ['w', 'b'],
        initializers: [w(3, 4, 3, 3), b(4)],
        attributes: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] },
      },
    ],
    ['MaxPool padded', ['n', 3, 8, 9], { attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } }],
    ['MaxPool ceil', [1, 2, 8, 9], { attributes: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 } }],
    [
      'AveragePool without padding in its count',
      ['n', 3, 8, 9],
      { attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } },
    ],
    [
      'AveragePool with it',
      ['n', 3, 8, 9],
      { attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 } },
    ],
    ['AveragePool 1-D', ['n', 3, 8], { attributes: { kernel_shape: [2], strides: [2] } }],
    ['GlobalAveragePool', ['n', 3, 8, 9], {}],
    ['GlobalMaxPool', ['n', 3, 8, 9], {}],
    [
      'Resize nearest',
      [1, 2, 4, 5],
      {
        inputs: ['', 'scales'],
        initializers: [tensor('scales', [4], [1, 1, 2, 2])],
        attributes: { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
      },
    ],
    [
      'Resize linear',
      [1, 2, 4, 5],
      { inputs: ['', '', 'sizes'], initializers: [ints('sizes', [1, 2, 7, 9])], attributes: { mode: 'linear' } },
    ],
    [
      'Resize linear, corners',
      [1, 2, 4, 5],
      {
        inputs: ['', '', 'sizes'],
        initializers: [ints('sizes', [1, 2, 7, 9])],
        attributes: { mode: 'linear', coordinate_transformation_mode: 'align_corners' },
      },
    ],
    ['DepthToSpace', [1, 8, 3, 4], { attributes: { blocksize: 2 } }],
    [
      'BatchNormalization',
      ['n', 3, 4],
      {
        inputs: ['g', 'h', 'm', 'v'],
        initializers: [
          tensor('g', [3], [1, 2, 3]),
          tensor('h', [3], [0, 1, -1]),
          tensor('m', [3], [0.1, 0.2, 0.3]),
          tensor('v', [3], [1, 2, 0.5]),
        ],
      },
    ],
    [
      'InstanceNormalization',
      [2, 3, 4, 5],
      { inputs: ['g', 'h'], initializers: [tensor('g', [3], [1, 2, 3]), tensor('h', [3], [0, 1, -1])] },
    ],
    [
      'LayerNormalization',
      ['n', 4, 6],
      { inputs: ['g', 'h'], initializers: [tensor('g', [6], spread(6)), tensor('h', [6], spread(6, 2))] },
    ],
    [
      'Gemm',
      ['n', 5],
      { inputs: ['w', 'b'], initializers: [w(4, 5), b(4)], attributes: { transB: 1, alpha: f(0.5), beta: f(2) } },
    ],
    ['MatMul', ['n', 3, 5], { inputs: ['w'], initializers: [w(5, 4)] }],
    ['Softmax', ['n', 5, 3], { attributes: { axis: 1 } }],
    ['LogSoftmax', ['n', 5], { attributes: { axis: -1 } }],
    ['ReduceMean', ['n', 4, 5], { attributes: { axes: [1, -1], keepdims: 0 } }],
    ['ReduceL2', ['n', 4, 5], { attributes: { axes: [-1] } }],
    ['Clip', ['n', 6], { inputs: ['lo', 'hi'], initializers: [s('lo', -0.2), s('hi', 0.3)] }],
    ['Clip below only', ['n', 6], { inputs: ['lo'], initializers: [s('lo', -0.2)] }],
    ['LeakyRelu', ['n', 6], { attributes: { alpha: f(0.2) } }],
    ['PRelu', ['n', 3, 4, 4], { inputs: ['w'], initializers: [w(3, 1, 1)] }],
    ['Elu', ['n', 6], { attributes: { alpha: f(0.5) } }],
    ['Selu', ['n', 6], {}],
    ['Softplus', ['n', 6], {}],
    ['Softsign', ['n', 6], {}],
    ['HardSigmoid', ['n', 6], {}],
    ['HardSwish', ['n', 6], {}],
    ['Mish', ['n', 6], { opset: 18 }],
    ['Gelu', ['n', 6], { opset: 20 }],
    ['Gelu tanh', ['n', 6], { opset: 20, attributes: { approximate: 'tanh' } }],
    ['Erf', ['n', 6], {}],
    ['Reshape', ['n', 4, 6], { inputs: ['to'], initializers: [ints('to', [0, -1, 3])] }],
    ['Flatten', ['n', 4, 6], {}],
    ['Unsqueeze', ['n', 4], { inputs: ['axes'], initializers: [ints('axes', [0, -1])] }],
    ['Squeeze', ['n', 1, 4], { inputs: ['axes'], initializers: [ints('axes', [1])] }],
    [
      'Slice',
      ['n', 6, 8],
      {
        inputs: ['from', 'to', 'axes', 'steps'],
        initializers: [ints('from', [1, -1]), ints('to', [1000, -1000]), ints('axes', [1, 2]), ints('steps', [2, -3])],
      },
    ],
    [
      'Slice to the end',
      ['n', 6],
      {
        inputs: ['from', 'to', 'axes'],
        initializers: [ints('from', [-3]), ints('to', [Number.MAX_SAFE_INTEGER]), ints('axes', [1])],
      },
    ],
    ['Pad', ['n', 3, 4], { inputs: ['pads', 'v'], initializers: [ints('pads', [0, 1, 0, 0, 2, 3]), s('v', 0.5)] }],
    [
      'Pad reflect',
      ['n', 3, 4],
      { inputs: ['pads'], initializers: [ints('pads', [0, 1, 0, 0, 2, 3])], attributes: { mode: 'reflect' } },
    ],
    [
      'Split',
      ['n', 6],
      { inputs: ['parts'], initializers: [ints('parts', [2, 4])], attributes: { axis: 1 }, outputs: 2 },
    ],
    ['Gather', ['n', 6], { inputs: ['at'], initializers: [ints('at', [0, -1, 2])], attributes: { axis: 1 } }],
    ['Tile', ['n', 3], { inputs: ['times'], initializers: [ints('times', [1, 2])] }],
    ['Expand', ['n', 1, 3], { inputs: ['to'], initializers: [ints('to', [2, 4, 3])] }],
    [
      'CumSum',
      ['n', 5],
      { inputs: ['along'], initializers: [tensor('along', [], [1], 'int64')], attributes: { reverse: 1 } },
    ],
    ['ArgMax', ['n', 5], { attributes: { axis: 1 } }],
    ['TopK', ['n', 5], { inputs: ['k'], initializers: [ints('k', [2])], outputs: 2 }],
  ])('%s', async (name, shape, { inputs = [], attributes = {}, initializers = [], outputs = 1, opset = 17 }) => {
    const names = Array.from({ length: outputs }, (_, i) => `y${i}`);
    const model = modelOf({
      nodes: [makeNode(name.split(' ')[0]!, ['x', ...inputs], names, attributes)],
      initializers,
      inputs: [value('x', shape)],
      opset,
      outputs: names.map((output, i) =>
        value(output, null, name === 'ArgMax' || (name === 'TopK' && i === 1) ? 'int64' : 'float32'),
      ),
    });
    expect(await error(model)).toBeLessThan(1e-5);
  });

  it('Reshape by a shape that is computed and copies a dimension', async () => {
    const model = modelOf({
      nodes: [
        makeNode('Shape', ['x'], ['shape']),
        makeNode('Gather', ['shape', 'first'], ['n']),
        makeNode('Concat', ['n', 'rest'], ['to'], { axis: 0 }),
        makeNode('Reshape', ['x', 'to'], ['y']),
      ],
      initializers: [ints('first', [0]), ints('rest', [0, 2, 3])],
      inputs: [value('x', ['n', 4, 6])],
      outputs: [value('y', null)],
    });
    expect(await error(model)).toBeLessThan(1e-6);
  });

  it('an embedding with attention', async () => {
    const model = modelOf({
      nodes: [
        makeNode('Gather', ['table', 'ids'], ['e']),
        makeNode('MatMul', ['e', 'wq'], ['q']),
        makeNode('MatMul', ['e', 'wk'], ['k']),
        makeNode('Transpose', ['k'], ['kt'], { perm: [0, 2, 1] }),
        makeNode('MatMul', ['q', 'kt'], ['scores']),
        makeNode('Softmax', ['scores'], ['p']),
        makeNode('MatMul', ['p', 'e'], ['y']),
      ],
      initializers: [
        tensor('table', [5, 8], spread(40)),
        tensor('wq', [8, 8], spread(64, 2)),
        tensor('wk', [8, 8], spread(64, 3)),
      ],
      inputs: [value('ids', ['n', 6], 'int64')],
      outputs: [value('y', null)],
    });
    expect(await error(model)).toBeLessThan(1e-5);
  });

  it('that TF.js does not have are refused by name', () => {
    const model = modelOf({
      nodes: [makeNode('Det', ['x'], ['y'], {}, { name: 'here' })],
      inputs: [value('x', [2, 2])],
      outputs: [value('y', [])],
    });
    expect(() => writeTfjs(model)).toThrow(
      expect.objectContaining({ code: 'unsupported-operator', message: expect.stringMatching(/node "here" \(Det\)/) }),
    );
  });
});
