/** Networks that are cut into stages: chains, towers, and what makes a cut hard. */
import { ARCHITECTURES } from '../../bench/architecture-networks.ts';
import { NETWORKS } from '../../bench/networks.ts';
import { readOnnx } from '../../src/compression/formats/onnx/read.ts';
import { makeNode as node } from '../../src/compression/ir/edit.ts';
import type { DataType, Graph, Model } from '../../src/compression/ir/types.ts';
import { modelOf, tensor, value } from './graphs.ts';
import { randomTensor } from './models.ts';

export interface StagedNetwork {
  readonly name: string;
  /** Inputs with their shapes for a batch of `n`. */
  readonly inputs: readonly { readonly name: string; readonly dtype: DataType; readonly shape: readonly number[] }[];
  model(): Model;
}

const float = (name: string, ...shape: number[]) => ({ name, dtype: 'float32' as const, shape });

/** 20 layers with shortcuts, and batch normalization. */
export const resNet: StagedNetwork = {
  name: 'a ResNet',
  inputs: [float('x', 3, 3, 32, 32)],
  model: () => readOnnx(NETWORKS.find(({ name }) => name === 'resnet-20')!.onnx()),
};

/** A chain without branches. */
export const leNet: StagedNetwork = {
  name: 'LeNet-5',
  inputs: [float('x', 4, 1, 28, 28)],
  model: () => readOnnx(NETWORKS.find(({ name }) => name === 'lenet-5')!.onnx()),
};

/** 4 layers of attention. */
export const transformer: StagedNetwork = {
  name: 'a transformer',
  inputs: [float('x', 2, 128, 128)],
  model: () => readOnnx(ARCHITECTURES.find(({ name }) => name === 'transformer')!.onnx()),
};

const WIDTH = 6;

/**
 * Users and items, each by the mean of its words' vectors (one table for both towers), Gemm, Relu, Dropout, Gemm; then
 * the product of both, with the user's vector once more.
 */
export const twoTowers: StagedNetwork = {
  name: 'a two-tower model',
  inputs: ['user', 'item'].map((name) => ({ name, dtype: 'int64', shape: [5, 4] })),
  model: () =>
    modelOf({
      nodes: [
        ...['user', 'item'].flatMap((side) => [
          node('Gather', ['table', side], [`${side}.words`]),
          node('ReduceMean', [`${side}.words`], [`${side}.mean`], { axes: [1], keepdims: 0 }),
          node('Gemm', [`${side}.mean`, `${side}.w1`, `${side}.b1`], [`${side}.g1`]),
          node('Relu', [`${side}.g1`], [`${side}.r`]),
          node('Dropout', [`${side}.r`, 'half'], [`${side}.d`]),
          node('Gemm', [`${side}.d`, `${side}.w2`, `${side}.b2`], [`${side}.g2`]),
        ]),
        node('Mul', ['user.g2', 'item.g2'], ['product']),
        node('Concat', ['product', 'user.mean'], ['both'], { axis: 1 }),
        node('Gemm', ['both', 'w', 'b'], ['score']),
      ],
      initializers: [
        randomTensor('table', [10, WIDTH], 4),
        tensor('half', [], [0.5]),
        randomTensor('w', [2 * WIDTH, 1], 5),
        randomTensor('b', [1], 6),
        ...['user', 'item'].flatMap((side, i) => [
          randomTensor(`${side}.w1`, [WIDTH, 8], 10 + i),
          randomTensor(`${side}.b1`, [8], 20 + i),
          randomTensor(`${side}.w2`, [8, WIDTH], 30 + i),
          randomTensor(`${side}.b2`, [WIDTH], 40 + i),
        ]),
      ],
      inputs: ['user', 'item'].map((name) => value(name, ['n', 4], 'int64')),
      outputs: [value('score', ['n', 1])],
    }),
};

const branch = (operator: string, input: string): { kind: 'graph'; value: Graph } => ({
  kind: 'graph',
  value: {
    name: operator,
    nodes: [node(operator, [input], [`${operator}.y`])],
    initializers: new Map(),
    inputs: [],
    outputs: [value(`${operator}.y`, null)],
    valueInfos: [],
  },
});

/**
 * x [3, 4, 6, 6]: a shortcut from the first layer to the last, a weight that two layers share, shapes computed from the
 * input and used at the end, integers computed from data, a branch that captures, two draws, an output in the middle.
 */
export const awkward: StagedNetwork = {
  name: 'a network of awkward cuts',
  inputs: [float('x', 3, 4, 6, 6)],
  model: () => {
    const vector = (name: string, of: number) => tensor(name, [4], new Float32Array(4).fill(of));
    return modelOf({
      nodes: [
        node('Shape', ['x'], ['shape']),
        node('Conv', ['x', 'k'], ['c1'], { pads: [1, 1, 1, 1] }),
        node('BatchNormalization', ['c1', 'scale', 'shift', 'mean', 'variance'], ['b1']),
        node('Relu', ['b1'], ['r1']),
        node('Dropout', ['r1', 'half'], ['d1', 'kept']),
        node('Conv', ['d1', 'k'], ['c2'], { pads: [1, 1, 1, 1] }),
        node('ReduceMax', ['c2'], ['high'], { keepdims: 0 }),
        node('Less', ['high', 'zero'], ['dark']),
        node('If', ['dark'], ['i'], { then_branch: branch('Neg', 'c2'), else_branch: branch('Tanh', 'c2') }),
        node('ArgMax', ['i'], ['brightest'], { axis: 1, keepdims: 0 }),
        node('Dropout', ['i', 'half'], ['d2']),
        node('Add', ['d2', 'r1'], ['s']),
        node('Reshape', ['s', 'flat'], ['f']),
        node('MatMul', ['f', 'w'], ['m']),
        node('Reshape', ['m', 'shape'], ['again']),
        node('Gather', ['table', 'brightest'], ['rows']),
        node('ReduceMean', ['rows'], ['colour'], { axes: [1, 2], keepdims: 0 }),
        node('GlobalAveragePool', ['again'], ['pooled']),
        node('Flatten', ['pooled'], ['p']),
        node('Add', ['p', 'colour'], ['y']),
      ],
      initializers: [
        randomTensor('k', [4, 4, 3, 3], 1),
        vector('scale', 1.5),
        vector('shift', 0.1),
        vector('mean', 0.2),
        vector('variance', 0.7),
        tensor('half', [], [0.5]),
        tensor('zero', [], [0]),
        tensor('flat', [2], [0, -1], 'int64'),
        randomTensor('w', [144, 144], 2),
        randomTensor('table', [4, 4], 3),
      ],
      inputs: [value('x', ['n', 4, 6, 6])],
      outputs: [value('y', null), value('c2', null)],
    });
  },
};
