/** Models of one layer, in float and in integers, for timing. */
import { makeNode } from '../../../../ir/edit.ts';
import { elementCount, fromHost, hostOf } from '../../../../ir/tensor-data.ts';
import type { DataType, Model, Node, Tensor } from '../../../../ir/types.ts';

export interface SingleLayer {
  /** Conv, Gemm or MatMul; only the number of its inputs counts. */
  readonly node: Node;
  /** Of the activation, the batch first. */
  readonly input: readonly number[];
  readonly weight: readonly number[];
  /** Output channels, where the layer has a bias. */
  readonly bias: number | null;
}

const constant = (name: string, dtype: DataType, dims: readonly number[], values: ArrayLike<number>) =>
  fromHost(name, hostOf(dtype, dims, values));
/** 7 bits, both signs. */
const codesOf = (length: number) => Int8Array.from({ length }, (_, i) => ((i * 37) % 129) - 64);

/** x (float32) -> the layer, Relu -> y. */
export function floatLayer(layer: SingleLayer): Model {
  const tensors = [
    constant(
      'w',
      'float32',
      layer.weight,
      Float32Array.from(codesOf(elementCount(layer.weight)), (code) => code / 64),
    ),
    ...biasOf(layer, 'float32'),
  ];
  return modelOf(
    layer,
    [operator(layer, 'x', ['w', ...biasOf(layer, 'float32').map(({ name }) => name)]), makeNode('Relu', ['h'], ['y'])],
    tensors,
    'float32',
  );
}

/** x (uint8) -> the layer between quantizers -> y (uint8). */
export function integerLayer(layer: SingleLayer): Model {
  const bias = biasOf(layer, 'int32');
  const nodes = [
    makeNode('DequantizeLinear', ['x', 's', 'z'], ['xd']),
    makeNode('DequantizeLinear', ['w', 'ws', 'wz'], ['wd']),
    ...bias.map(({ name }) => makeNode('DequantizeLinear', [name, 'bs'], ['bd'])),
    operator(layer, 'xd', ['wd', ...bias.map(() => 'bd')]),
    makeNode('QuantizeLinear', ['h', 's', 'z'], ['y']),
  ];
  const scalars = [
    constant('s', 'float32', [], [0.02]),
    constant('z', 'uint8', [], [3]),
    constant('ws', 'float32', [], [0.01]),
    constant('wz', 'int8', [], [0]),
    constant('bs', 'float32', [], [2e-4]),
  ];
  return modelOf(
    layer,
    nodes,
    [constant('w', 'int8', layer.weight, codesOf(elementCount(layer.weight))), ...scalars, ...bias],
    'uint8',
  );
}

const operator = ({ node }: SingleLayer, x: string, constants: readonly string[]): Node => ({
  ...node,
  name: 'layer',
  inputs: [x, ...constants],
  outputs: ['h'],
});

const biasOf = ({ bias }: SingleLayer, dtype: DataType): Tensor[] =>
  bias === null ? [] : [constant('b', dtype, [bias], new Int32Array(bias))];

function modelOf({ input }: SingleLayer, nodes: readonly Node[], tensors: readonly Tensor[], dtype: DataType): Model {
  const graph = {
    name: 'layer',
    nodes,
    initializers: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    valueInfos: [],
    inputs: [{ name: 'x', type: { dtype, shape: input } }],
    outputs: [{ name: 'y', type: { dtype, shape: null } }],
  };
  return { irVersion: 8, opsets: new Map([['', 13]]), functions: [], metadata: new Map(), graph };
}
