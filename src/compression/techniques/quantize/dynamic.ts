/**
 * Matrix products in integers that take the activations' range in every run: DynamicQuantizeLinear, MatMulInteger, and
 * the product of the scales (onnxruntime fuses the chain into one kernel). Convolutions stay float: onnxruntime's
 * ConvInteger was measured 18 times slower.
 */
import { elementAt, inputName, outputName } from '../../ir/checked-access.ts';
import { freshNames, makeNode, removeUnusedInitializers, withGraph, withInitializers } from '../../ir/edit.ts';
import { elementCount, fromHost, toHost } from '../../ir/tensor-data.ts';
import type { Graph, Model, Node, Tensor } from '../../ir/types.ts';
import { layerMatcher } from '../layer-filter.ts';
import { floatAttribute, intAttribute } from '../../ir/node-attributes.ts';
import { constant, FLOAT32, MIN_ELEMENTS, scaleTensor } from './graph-parts.ts';
import type { QuantizeParameters } from './spec.ts';
import { quantizeWeight } from '../../weights/quantize-weight.ts';

type Settings = Pick<QuantizeParameters, 'layers' | 'perChannel' | 'reduceRange'> & {
  /** The file may run on processors that add products with saturation (targets.ts). */
  readonly mayRunSaturating: boolean;
};

export function quantizeDynamic(model: Model, parameters: Settings): Model {
  return withGraph(model, new DynamicWriter(model, parameters).write());
}

interface Product {
  readonly node: Node;
  /** [k, n]. */
  readonly weight: Tensor;
  readonly bias: string | null;
}

interface Codes {
  readonly codes: string;
  readonly zero: string;
  readonly scale: string;
}

class DynamicWriter {
  private readonly graph: Graph;
  private readonly parameters: Settings;
  private readonly fresh: (base: string) => string;
  private readonly selected: (names: readonly string[]) => boolean;
  private readonly tensors: Tensor[] = [];
  private readonly nodes: Node[] = [];
  private readonly activations = new Map<string, Codes>();
  private readonly kernels = new Map<Tensor, Codes>();
  private readonly transposes = new Map<Tensor, Tensor>();

  constructor(model: Model, parameters: Settings) {
    this.graph = model.graph;
    this.parameters = parameters;
    this.fresh = freshNames(model);
    this.selected = layerMatcher(parameters.layers);
  }

  write(): Graph {
    for (const node of this.graph.nodes) {
      const product = this.productOf(node);
      if (product) this.writeProduct(product);
      else this.nodes.push(node);
    }
    if (this.kernels.size === 0) return this.graph;
    return removeUnusedInitializers(withInitializers({ ...this.graph, nodes: this.nodes }, this.tensors));
  }

  /** MatMul or Gemm of an activation with a constant matrix. */
  private productOf(node: Node): Product | null {
    if (node.domain !== '' || (node.opType !== 'MatMul' && node.opType !== 'Gemm')) return null;
    const kernel = this.graph.initializers.get(inputName(node, 1));
    if (!kernel || kernel.dtype !== 'float32' || kernel.dims.length !== 2 || elementCount(kernel.dims) < MIN_ELEMENTS)
      return null;
    if (this.graph.initializers.has(inputName(node)) || !this.selected([node.name, ...node.inputs])) return null;
    if (node.opType === 'MatMul') return { node, weight: kernel, bias: null };
    const bias = node.inputs[2] || null;
    const plain =
      intAttribute(node, 'transA', 0) === 0 &&
      floatAttribute(node, 'alpha', 1) === 1 &&
      (bias === null || floatAttribute(node, 'beta', 1) === 1);
    return plain
      ? { node, weight: intAttribute(node, 'transB', 0) === 0 ? kernel : this.transposed(kernel), bias }
      : null;
  }

  private transposed(tensor: Tensor): Tensor {
    const made = this.transposes.get(tensor) ?? transpose(tensor);
    this.transposes.set(tensor, made);
    return made;
  }

  private writeProduct({ node, weight, bias }: Product): void {
    const output = outputName(node);
    const step = (opType: string, inputs: readonly string[], target: string, attributes = {}) => {
      this.nodes.push(makeNode(opType, inputs, [target], attributes, { name: '' }));
      return target;
    };
    const activation = this.activationOf(inputName(node));
    const kernel = this.kernelOf(weight);
    const sums = step(
      'MatMulInteger',
      [activation.codes, kernel.codes, activation.zero, kernel.zero],
      this.fresh(`${output}_sums`),
    );
    const float = step('Cast', [sums], this.fresh(`${output}_float`), { to: FLOAT32 });
    const scale = step('Mul', [activation.scale, kernel.scale], this.fresh(`${output}_scale`));
    const scaled = step('Mul', [float, scale], bias === null ? output : this.fresh(`${output}_scaled`));
    if (bias !== null) step('Add', [scaled, bias], output);
  }

  private activationOf(name: string): Codes {
    let found = this.activations.get(name);
    if (!found) {
      found = {
        codes: this.fresh(`${name}_quantized`),
        scale: this.fresh(`${name}_scale`),
        zero: this.fresh(`${name}_zero_point`),
      };
      this.nodes.push(
        makeNode('DynamicQuantizeLinear', [name], [found.codes, found.scale, found.zero], {}, { name: '' }),
      );
      this.activations.set(name, found);
    }
    return found;
  }

  private kernelOf(weight: Tensor): Codes {
    let found = this.kernels.get(weight);
    if (!found) {
      const { name, dims } = weight;
      const { perChannel, reduceRange, mayRunSaturating } = this.parameters;
      const { codes, affines } = quantizeWeight(weight, {
        type: 'int8',
        symmetric: true,
        channelAxis: perChannel ? 1 : null,
        reduceRange,
        sums: mayRunSaturating ? [[0]] : [],
      });
      const scaleDims = perChannel ? [elementAt(dims, 1, 'axis')] : [];
      found = {
        codes: this.fresh(`${name}_quantized`),
        scale: this.fresh(`${name}_scale`),
        zero: this.fresh(`${name}_zero_point`),
      };
      this.tensors.push(
        fromHost(found.codes, { dtype: 'int8', dims, data: codes }),
        scaleTensor(found.scale, affines, scaleDims),
        constant(
          found.zero,
          'int8',
          scaleDims,
          affines.map(() => 0),
        ),
      );
      this.kernels.set(weight, found);
    }
    return found;
  }
}

function transpose(tensor: Tensor): Tensor {
  const [rows, columns] = tensor.dims as [number, number];
  const from = toHost(tensor).data as Float32Array;
  const data = new Float32Array(from.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) data[column * rows + row] = from[row * columns + column]!;
  return fromHost(tensor.name, { dtype: 'float32', dims: [columns, rows], data });
}
