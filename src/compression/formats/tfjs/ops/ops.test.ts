/**
 * Small graphs of TensorFlow operators: read and run in onnxruntime, against TF.js on the same files; and written again
 * from what was read.
 */
import type * as tfjs from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../../ir/types.ts';
import { openRuntime } from '../../../measure/session.ts';
import { tf, type TfTensor } from '../../../tensor/tf.ts';
import { writeOnnx } from '../../onnx/write.ts';
import type { NodeDef } from '../node.ts';
import { readTfjs } from '../read.ts';
import { writeTfjs } from '../write/write.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

type Array_ = {
  readonly dtype: 'float32' | 'int32';
  readonly dims: readonly number[];
  readonly data: readonly number[];
};
const floats = (dims: readonly number[], data: readonly number[]): Array_ => ({ dtype: 'float32', dims, data });
const ints = (data: readonly number[], dims: readonly number[] = [data.length]): Array_ => ({
  dtype: 'int32',
  dims,
  data,
});
const scalar = (value: number): Array_ => ints([value], []);
const wave = (dims: readonly number[]): Array_ =>
  floats(
    dims,
    Array.from({ length: dims.reduce((a, d) => a * d, 1) }, (_, i) => Math.sin(i * 2.3) * 3),
  );

interface Case {
  readonly inputs: Readonly<Record<string, Array_ & { readonly open?: readonly number[] }>>;
  readonly constants?: Readonly<Record<string, Array_>>;
  readonly nodes: readonly NodeDef[];
  /** Tensors to compare, the last node's first output by default. */
  readonly outputs?: readonly string[];
  /** Not written as TF.js again. */
  readonly readOnly?: true;
}

const type = (dtype: string) => ({ type: dtype === 'int32' ? 'DT_INT32' : 'DT_FLOAT' });
const T = { T: type('float32') };
const node = (name: string, op: string, input: readonly string[], attr: NodeDef['attr'] = T): NodeDef => ({
  name,
  op,
  input,
  attr,
});

function filesOf({ inputs, constants = {}, nodes, outputs = [nodes.at(-1)!.name] }: Case): Map<string, Uint8Array> {
  const placeholders = Object.entries(inputs).map(([name, { dtype, dims, open = [] }]) => ({
    name,
    op: 'Placeholder',
    attr: {
      dtype: type(dtype),
      shape: { shape: { dim: dims.map((size, axis) => ({ size: String(open.includes(axis) ? -1 : size) })) } },
    },
  }));
  const consts = Object.entries(constants).map(([name, { dtype, dims }]) => ({
    name,
    op: 'Const',
    attr: { dtype: type(dtype), value: { shape: { dim: dims.map((size) => ({ size: String(size) })) } } },
  }));
  const weights = Object.entries(constants).map(([name, { dtype, dims }]) => ({ name, dtype, shape: dims }));
  const bytes = Buffer.concat(
    Object.values(constants).map(({ dtype, data }) =>
      Buffer.from((dtype === 'int32' ? Int32Array.from(data) : Float32Array.from(data)).buffer),
    ),
  );
  const signature = {
    outputs: Object.fromEntries(
      outputs.map((name) => [name.replace(':', '_'), { name: name.includes(':') ? name : `${name}:0` }]),
    ),
  };
  const json = {
    format: 'graph-model',
    signature,
    modelTopology: { node: [...placeholders, ...consts, ...nodes], versions: {} },
    weightsManifest: [{ paths: ['w.bin'], weights }],
  };
  return new Map([
    ['model.json', new TextEncoder().encode(JSON.stringify(json))],
    ['w.bin', new Uint8Array(bytes)],
  ]);
}

async function inTfjs(
  files: ReadonlyMap<string, Uint8Array>,
  inputs: Case['inputs'],
  outputs?: readonly string[],
): Promise<{ dims: readonly number[]; data: number[] }[]> {
  const json = JSON.parse(Buffer.from(files.get('model.json')!).toString()) as {
    modelTopology: object;
    signature: { outputs: Record<string, { name: string }> };
    weightsManifest: { paths: string[]; weights: tfjs.io.WeightsManifestEntry[] }[];
  };
  const group = json.weightsManifest[0]!;
  const weightData = new Uint8Array(Buffer.concat(group.paths.map((path) => files.get(path)!))).buffer;
  const model = await tf.loadGraphModel({ load: async () => ({ ...json, weightSpecs: group.weights, weightData }) });
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, { dtype, dims, data }]) => [name, tf.tensor([...data], [...dims], dtype)]),
  );
  const results = [
    await model.executeAsync(feeds, [
      ...(outputs ?? Object.values(json.signature.outputs).map(({ name }) => name.replace(/:0$/, ''))),
    ]),
  ].flat() as TfTensor[];
  return Promise.all(results.map(async (tensor) => ({ dims: tensor.shape, data: Array.from(await tensor.data()) })));
}

async function inOnnxruntime(
  model: Model,
  inputs: Case['inputs'],
): Promise<{ dims: readonly number[]; data: number[] }[]> {
  const runtime = await openRuntime(writeOnnx(model));
  const outputs = await runtime.run(
    new Map(
      Object.entries(inputs).map(([name, { dtype, dims, data }]) => [
        name,
        { dtype, shape: [...dims], data: dtype === 'int32' ? Int32Array.from(data) : Float32Array.from(data) },
      ]),
    ),
  );
  await runtime.release();
  return runtime.outputNames.map((name) => ({
    dims: outputs.get(name)!.dims,
    data: Array.from(outputs.get(name)!.data, Number),
  }));
}

function expectEqual(
  got: readonly { dims: readonly number[]; data: number[] }[],
  want: readonly { dims: readonly number[]; data: number[] }[],
): void {
  expect(got.map(({ dims }) => dims)).toEqual(want.map(({ dims }) => dims));
  got.forEach(({ data }, i) =>
    data.forEach((value, k) =>
      expect(Math.abs(value - want[i]!.data[k]!)).toBeLessThan(1e-5 * Math.max(1, Math.abs(value))),
    ),
  );
}

const boxes = floats([5, 4], [0, 0, 2, 2, 0, 0, 2.1, 2.1, 3, 3, 5, 5, 3, 3.1, 5, 5, 8, 8, 9, 9]);
const scores = floats([5], [0.6, 0.9, 0.5, 0.55, 0.1]);
const image = { ...wave([1, 4, 5, 2]), open: [1, 2] };
const spatial = {
  strides: { list: { i: ['1', '2', '2', '1'] } },
  padding: { s: Buffer.from('VALID').toString('base64') },
  data_format: { s: Buffer.from('NHWC').toString('base64') },
};

const CASES: Readonly<Record<string, Case>> = {
  'TopKV2, values and indices': {
    inputs: { x: wave([3, 7]) },
    constants: { k: scalar(3) },
    nodes: [node('top', 'TopKV2', ['x', 'k'], { ...T, sorted: { b: true } })],
    outputs: ['top', 'top:1'],
    readOnly: true,
  },
  'GatherNd with computed and with constant indices': {
    inputs: { x: wave([3, 4, 2]), i: ints([0, 3, 2, 1], [2, 2]) },
    constants: { c: ints([2, 0, 1, 0, 1, 1], [2, 3]) },
    nodes: [node('a', 'GatherNd', ['x', 'i']), node('b', 'GatherNd', ['x', 'c'])],
    outputs: ['a', 'b'],
    readOnly: true,
  },
  'Atan2 in every quadrant and on the axes': {
    inputs: { y: floats([8], [1, 1, -1, -1, 0, 0, 2, -2]), x: floats([8], [1, -1, 1, -1, 1, -1, 0, 0]) },
    nodes: [node('a', 'Atan2', ['y', 'x'])],
  },
  'ScatterNd adds': {
    inputs: { v: wave([3, 2]) },
    constants: { i: ints([1, 3, 1], [3, 1]), s: ints([4, 2]) },
    nodes: [node('a', 'ScatterNd', ['i', 'v', 's'], { ...T, Tindices: type('int32') })],
    readOnly: true,
  },
  'SparseToDense of one value and of many': {
    inputs: { v: wave([3]) },
    constants: {
      i: ints([0, 2, 1, 1, 2, 0], [3, 2]),
      s: ints([3, 4]),
      d: floats([], [-1]),
      one: floats([], [7]),
      j: ints([3, 1]),
      n: ints([5]),
    },
    nodes: [node('a', 'SparseToDense', ['i', 's', 'v', 'd']), node('b', 'SparseToDense', ['j', 'n', 'one', 'd'])],
    outputs: ['a', 'b'],
    readOnly: true,
  },
  Where: {
    inputs: { x: wave([3, 4]) },
    constants: { z: floats([], [0.5]) },
    nodes: [node('m', 'Greater', ['x', 'z']), node('w', 'Where', ['m'])],
    readOnly: true,
  },
  'NonMaxSuppressionV3 and V5': {
    inputs: { boxes, scores },
    constants: { n: scalar(4), iou: floats([], [0.5]), least: floats([], [0.2]), soft: floats([], [0]) },
    nodes: [
      node('a', 'NonMaxSuppressionV3', ['boxes', 'scores', 'n', 'iou', 'least']),
      node('b', 'NonMaxSuppressionV5', ['boxes', 'scores', 'n', 'iou', 'least', 'soft']),
    ],
    outputs: ['a', 'b', 'b:1'],
    readOnly: true,
  },
  Size: { inputs: { x: wave([2, 3, 4]) }, nodes: [node('s', 'Size', ['x'], { ...T, out_type: type('int32') })] },
  'StridedSlice with computed bounds and a dropped axis': {
    inputs: { x: wave([6, 5, 3]), n: { ...ints([4], []) } },
    constants: { one: scalar(1), zero: scalar(0), strides: ints([1, 1, 1]), last: scalar(3) },
    nodes: [
      node('begin', 'Pack', ['one', 'last', 'zero'], { T: type('int32'), axis: { i: '0' } }),
      node('end', 'Pack', ['n', 'n', 'n'], { T: type('int32'), axis: { i: '0' } }),
      node('s', 'StridedSlice', ['x', 'begin', 'end', 'strides'], {
        ...T,
        shrink_axis_mask: { i: '2' },
        end_mask: { i: '4' },
      }),
    ],
  },
  'Slice by a computed size': {
    inputs: { x: wave([4, 6]), n: ints([3], []) },
    constants: { one: scalar(1), begin: ints([1, 2]), rest: scalar(-1) },
    nodes: [
      node('size', 'Pack', ['n', 'rest'], { T: type('int32'), axis: { i: '0' } }),
      node('s', 'Slice', ['x', 'begin', 'size']),
    ],
  },
  'Slice by computed vectors': {
    inputs: { x: wave([4, 6]), from: ints([1, 2]), size: ints([2, -1]) },
    nodes: [node('s', 'Slice', ['x', 'from', 'size'])],
  },
  'Pad by computed paddings': {
    inputs: { x: wave([2, 3]), p: ints([1, 0, 2, 1], [2, 2]) },
    nodes: [node('y', 'Pad', ['x', 'p'])],
    readOnly: true,
  },
  'ResizeBilinear to a computed size': {
    inputs: { x: image },
    constants: { two: ints([2, 2]), one: ints([1]), three: ints([3]) },
    nodes: [
      node('shape', 'Shape', ['x'], { ...T, out_type: type('int32') }),
      node('hw', 'StridedSlice', ['shape', 'one', 'three', 'one'], { T: type('int32') }),
      node('double', 'Mul', ['hw', 'two'], { T: type('int32') }),
      node('y', 'ResizeBilinear', ['x', 'double'], { ...T, half_pixel_centers: { b: true } }),
    ],
  },
  'Conv2DBackpropInput of an open size': {
    inputs: { x: image },
    constants: {
      k: wave([3, 3, 4, 2]),
      two: scalar(2),
      one: scalar(1),
      zero: ints([0]),
      c: scalar(4),
      i1: ints([1]),
      i2: ints([2]),
      i3: ints([3]),
    },
    nodes: [
      node('shape', 'Shape', ['x'], { ...T, out_type: type('int32') }),
      ...(
        [
          ['n', 'zero', 'i1'],
          ['h', 'i1', 'i2'],
          ['w', 'i2', 'i3'],
        ] as const
      ).map(([name, from, to]) =>
        node(name, 'StridedSlice', ['shape', from, to, 'i1'], { T: type('int32'), shrink_axis_mask: { i: '1' } }),
      ),
      ...['h', 'w'].flatMap((axis) => [
        node(`${axis}2`, 'Mul', [axis, 'two'], { T: type('int32') }),
        node(`${axis}3`, 'AddV2', [`${axis}2`, 'one'], { T: type('int32') }),
      ]),
      node('size', 'Pack', ['n', 'h3', 'w3', 'c'], { T: type('int32'), axis: { i: '0' } }),
      node('y', 'Conv2DBackpropInput', ['size', 'k', 'x'], { ...T, ...spatial }),
    ],
  },
};

describe.each(Object.entries(CASES))('%s', (_, given) => {
  it('is in ONNX what it is in TF.js', async () => {
    const files = filesOf(given);
    const { model } = readTfjs(files);
    const expected = await inTfjs(files, given.inputs, given.outputs);
    expectEqual(await inOnnxruntime(model, given.inputs), expected);
    if (!given.readOnly) expectEqual(await inTfjs(writeTfjs(model), given.inputs), expected);
  });
});

it('a kernel that two convolutions read is one weight', () => {
  const conv = (name: string, input: string): NodeDef =>
    node(name, 'Conv2D', [input, 'k'], {
      ...T,
      ...spatial,
      dilations: { list: { i: ['1', '1', '1', '1'] } },
      strides: { list: { i: ['1', '1', '1', '1'] } },
    });
  const { model } = readTfjs(
    filesOf({
      inputs: { x: wave([1, 6, 6, 2]) },
      constants: { k: wave([3, 3, 2, 2]) },
      nodes: [conv('a', 'x'), conv('b', 'a')],
    }),
  );
  expect(model.graph.nodes.filter(({ opType }) => opType === 'Conv').map(({ inputs }) => inputs[1])).toEqual([
    'k_1',
    'k_1',
  ]);
});

it('loops are refused by name', () => {
  const nodes = [
    node('enter', 'Enter', ['x']),
    node('merge', 'Merge', ['enter', 'next']),
    node('next', 'NextIteration', ['merge']),
    node('exit', 'Exit', ['merge']),
  ];
  expect(() => readTfjs(filesOf({ inputs: { x: wave([2]) }, nodes }))).toThrow(
    expect.objectContaining({
      code: 'unsupported-operator',
      message: expect.stringMatching(/"exit" \(Exit\): loops and branches/) as string,
    }),
  );
});
