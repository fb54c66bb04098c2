/**
 * A reference for processors without VNNI: a quantized model with its integer products spelled out in float operators
 * that add the products of two neighbours with saturation to int16 (VPMADDUBSW), and everything else as it is. Every
 * number stays below 2^24, so floats compute it exactly. Factors are laid out by position, then channel, as
 * onnxruntime's convolutions have them.
 */
import { freshNames, makeNode } from '../../src/compression/ir/edit.ts';
import { constantCodes, integerProducts, type IntegerProduct } from '../../src/compression/graph/integer-products.ts';
import { intAttribute } from '../../src/compression/ir/node-attributes.ts';
import { toHost } from '../../src/compression/ir/tensor-data.ts';
import { DATA_TYPES, type Model, type Node, type Tensor } from '../../src/compression/ir/types.ts';
import { tensor } from './graphs.ts';

const [FLOAT, INT32] = [DATA_TYPES.indexOf('float32'), DATA_TYPES.indexOf('int32')];

/**
 * To be run with the runtime's optimizations disabled. Knows Conv, Gemm and MatMul between quantizers, and
 * MatMulInteger.
 */
export function saturatingTwin(model: Model): Model {
  const { graph } = model;
  const products = new Map(integerProducts(graph).map((product) => [product.node, product]));
  const writer = new Writer(model);
  for (const node of graph.nodes) {
    const product = products.get(node);
    if (!product || isDepthwise(node, constantCodes(graph, product)!)) writer.nodes.push(node);
    else writer.write(product);
  }
  return {
    ...model,
    graph: {
      ...graph,
      nodes: writer.nodes,
      initializers: new Map([
        ...graph.initializers,
        ...writer.tensors.map((item): [string, Tensor] => [item.name, item]),
      ]),
      valueInfos: [],
    },
  };
}

const isDepthwise = (node: Node, weight: Tensor) =>
  node.opType === 'Conv' && weight.dims[1] === 1 && intAttribute(node, 'group', 1) === weight.dims[0];

class Writer {
  readonly nodes: Node[] = [];
  readonly tensors: Tensor[] = [];
  private readonly model: Model;
  private readonly fresh: (base: string) => string;

  constructor(model: Model) {
    this.model = model;
    this.fresh = freshNames(model);
  }

  write(product: IntegerProduct): void {
    const { graph } = this.model;
    const { node } = product;
    const weight = constantCodes(graph, product)!;
    if (weight.dtype !== 'int8') throw new Error(`the weight of ${node.opType} is ${weight.dtype}`);
    if (node.opType === 'MatMulInteger') {
      const sums = this.matrixProduct(
        node.inputs[0]!,
        this.codes(node.inputs[0]!),
        this.codes(node.inputs[2]!),
        weight,
        false,
      );
      this.step('Cast', [sums], { to: INT32 }, node.outputs[0]);
      return;
    }
    const quantizer = graph.nodes.find(({ outputs }) => outputs.includes(node.inputs[0]!))!;
    const [codes, scale, zero] = quantizer.inputs as [string, string, string];
    const sums =
      node.opType === 'Conv'
        ? this.convolution(node, this.codes(codes), this.codes(zero), weight)
        : this.matrixProduct(
            node.inputs[0]!,
            this.codes(codes),
            this.codes(zero),
            weight,
            intAttribute(node, 'transB', 0) !== 0,
          );
    const along = node.opType === 'Conv' ? [-1, ...weight.dims.slice(2).map(() => 1)] : [-1];
    const factor = this.step('Mul', [scale, this.shaped(product.reader.inputs[1]!, along)]);
    const bias = node.inputs[2];
    const scaled = this.step('Mul', [sums, factor], {}, bias ? undefined : node.outputs[0]!);
    if (bias) this.step('Add', [scaled, this.shaped(bias, along)], {}, node.outputs[0]);
  }

  /** sum over pairs of clip(a1 w1 + a2 w2), minus the zero point's part: [n, cin, ...] -> [n, cout, ...]. */
  private convolution(node: Node, codes: string, zero: string, weight: Tensor): string {
    const [channels, perGroup, ...kernel] = weight.dims as [number, number, ...number[]];
    const group = intAttribute(node, 'group', 1);
    const positions = kernel.reduce((a, b) => a * b, 1);
    const terms = 2 * Math.ceil((positions * perGroup) / 2);
    const copies = new Float32Array(group * terms * perGroup * group * positions);
    const factors = new Float32Array(channels * terms);
    const values = toHost(weight).data as Int8Array;
    for (let g = 0; g < group; g++) {
      for (let p = 0; p < positions; p++)
        for (let c = 0; c < perGroup; c++)
          copies[((g * terms + p * perGroup + c) * perGroup * group + g * perGroup + c) * positions + p] = 1;
    }
    for (let o = 0; o < channels; o++)
      for (let p = 0; p < positions; p++)
        for (let c = 0; c < perGroup; c++)
          factors[o * terms + p * perGroup + c] = values[(o * perGroup + c) * positions + p]!;
    const centred = this.step('Sub', [codes, zero]);
    const attributes = new Map([...node.attributes].filter(([name]) => name !== 'group'));
    const patches = this.fresh('patches');
    this.nodes.push({
      ...makeNode('Conv', [centred, this.add([group * terms, perGroup * group, ...kernel], copies)], [patches]),
      attributes,
    });
    const a = this.reshape(this.step('Add', [patches, zero]), [0, group, terms / 2, 2, -1]);
    const w = this.add([group, channels / group, terms / 2, 2], factors);
    const sums = this.step(
      'ReduceSum',
      [this.clip(this.step('Einsum', [a, w], { equation: 'ngkip,goki->ngokp' })), this.add([1], [3], 'int64')],
      { keepdims: 0 },
    );
    const whole = this.reshape(sums, [0, channels, -1]);
    const columnSums = Float32Array.from({ length: channels }, (_, o) =>
      factors.subarray(o * terms, (o + 1) * terms).reduce((x, y) => x + y, 0),
    );
    const centredSums = this.step('Sub', [whole, this.step('Mul', [zero, this.add([channels, 1], columnSums)])]);
    const size = this.step('Slice', [
      this.step('Shape', [patches]),
      this.add([1], [2], 'int64'),
      this.add([1], [2 + kernel.length], 'int64'),
    ]);
    return this.step('Reshape', [
      centredSums,
      this.step('Concat', [this.add([2], [0, channels], 'int64'), size], { axis: 0 }),
    ]);
  }

  /** The same for [..., k] by [k, n], or by [n, k]. `like`: a value of the left factor's shape. */
  private matrixProduct(like: string, codes: string, zero: string, weight: Tensor, transposed: boolean): string {
    const [k, n] = (transposed ? [weight.dims[1], weight.dims[0]] : weight.dims) as [number, number];
    const values = toHost(weight).data as Int8Array;
    const terms = 2 * Math.ceil(k / 2);
    const factors = new Float32Array(terms * n);
    for (let p = 0; p < k; p++)
      for (let j = 0; j < n; j++) factors[p * n + j] = values[transposed ? j * k + p : p * n + j]!;
    const identity = Float32Array.from({ length: k * terms }, (_, i) => (Math.floor(i / terms) === i % terms ? 1 : 0));
    const a = this.reshape(this.step('MatMul', [codes, this.add([k, terms], identity)]), [-1, terms / 2, 2]);
    const pairs = this.clip(
      this.step('Einsum', [a, this.add([terms / 2, 2, n], factors)], { equation: 'mki,kin->mkn' }),
    );
    const sums = this.step('ReduceSum', [pairs, this.add([1], [1], 'int64')], { keepdims: 0 });
    const columnSums = Float32Array.from({ length: n }, (_, j) =>
      factors.reduce((sum, value, i) => (i % n === j ? sum + value : sum), 0),
    );
    const centred = this.step('Sub', [sums, this.step('Mul', [zero, this.add([n], columnSums)])]);
    const front = this.step('Slice', [
      this.step('Shape', [like]),
      this.add([1], [0], 'int64'),
      this.add([1], [-1], 'int64'),
    ]);
    return this.step('Reshape', [centred, this.step('Concat', [front, this.add([1], [n], 'int64')], { axis: 0 })]);
  }

  /** Codes as floats from 0 to 255: int8 ones are shifted, as the kernels do. */
  private codes(name: string): string {
    const known = this.model.graph.initializers.get(name)?.dtype ?? this.typeOfCodes(name);
    const value = this.step('Cast', [name], { to: FLOAT });
    return known === 'int8' ? this.step('Add', [value, this.add([], [128])]) : value;
  }

  private typeOfCodes(name: string): string {
    const { nodes, initializers } = this.model.graph;
    const maker = nodes.find(({ outputs }) => outputs.includes(name));
    if (maker?.opType === 'QuantizeLinear') return initializers.get(maker.inputs[2]!)!.dtype;
    return maker && ['MaxPool', 'Reshape', 'Flatten', 'Transpose', 'Squeeze', 'Unsqueeze'].includes(maker.opType)
      ? this.typeOfCodes(maker.inputs[0]!)
      : 'uint8';
  }

  private clip = (name: string) => this.step('Clip', [name, this.add([], [-32_768]), this.add([], [32_767])]);
  private reshape = (name: string, shape: readonly number[]) =>
    this.step('Reshape', [name, this.add([shape.length], shape, 'int64')]);
  private shaped = (name: string, shape: readonly number[]) => this.reshape(name, shape);

  private step(
    opType: string,
    inputs: readonly string[],
    attributes: Parameters<typeof makeNode>[3] = {},
    output = this.fresh('s'),
  ): string {
    this.nodes.push(makeNode(opType, inputs, [output], attributes, { name: '' }));
    return output;
  }

  private add(dims: readonly number[], values: ArrayLike<number>, dtype: 'float32' | 'int64' = 'float32'): string {
    const made = tensor(this.fresh('c'), dims, values, dtype);
    this.tensors.push(made);
    return made.name;
  }
}
