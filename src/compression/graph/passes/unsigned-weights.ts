/**
 * Converts integer products to uint8 weights: codes and zero points rise by 128, so every product keeps its value. All
 * x86 processors multiply uint8 weights exactly, but int8 weights with saturation where they lack VNNI
 * (graph/saturation.ts): the converted model computes the exact arithmetic of the file.
 */
import { inputName, outputName } from '../../ir/checked-access.ts';
import { freshNames, indexGraph, makeNode, withGraph, type GraphIndex } from '../../ir/edit.ts';
import { constantCodes, integerProducts, type IntegerProduct } from '../integer-products.ts';
import { elementCount, fromHost, hostOf, toHost } from '../../ir/tensor-data.ts';
import { DATA_TYPES, type Graph, type Model, type Node, type Tensor } from '../../ir/types.ts';

const OFFSET = 128;

/** The same object where no product reads int8 weights. */
export function unsignedWeights(model: Model): Model {
  return withGraph(model, new Rewriter(model).rewrite());
}

class Rewriter {
  private readonly graph: Graph;
  private readonly fresh: (base: string) => string;
  private readonly tensors: Map<string, Tensor>;
  private readonly changed = new Map<Node, readonly Node[]>();
  /** int8 tensors -> names of their uint8 forms. */
  private readonly shifted = new Map<Tensor, string>();

  constructor(model: Model) {
    this.graph = model.graph;
    this.fresh = freshNames(model);
    this.tensors = new Map(model.graph.initializers);
  }

  rewrite(): Graph {
    const index = indexGraph(this.graph);
    for (const product of integerProducts(this.graph)) {
      const codes = constantCodes(this.graph, product);
      if (codes?.dtype === 'int8') this.shiftReader(product, this.shift(codes));
      else if (!codes) this.shiftQuantizer(product, index);
    }
    if (this.changed.size === 0) return this.graph;
    return {
      ...this.graph,
      initializers: this.tensors,
      nodes: this.graph.nodes.flatMap((node) => this.changed.get(node) ?? [node]),
    };
  }

  private shiftReader({ reader, inputs: { codes, zero, scale } }: IntegerProduct, name: string | null): void {
    const node = this.changed.get(reader)?.[0] ?? reader;
    const inputs = [...node.inputs];
    while (inputs.length <= zero) inputs.push('');
    if (name !== null) inputs[codes] = name;
    inputs[zero] = this.zeroPoint(node.inputs[zero], scale === null ? undefined : node.inputs[scale]);
    const rewritten = { ...node, inputs };
    this.changed.set(reader, this.isSignedMatMul(reader) ? this.spelledOut(rewritten) : [rewritten]);
  }

  /** onnxruntime has no QLinearMatMul of int8 activations and uint8 weights. */
  private isSignedMatMul({ opType, inputs }: Node): boolean {
    return opType === 'QLinearMatMul' && this.graph.initializers.get(inputs[2] ?? '')?.dtype === 'int8';
  }

  /** a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero -> MatMulInteger, times the scales, quantized. */
  private spelledOut(node: Node): Node[] {
    const y = outputName(node);
    const [a, aScale, aZero, b, bScale, bZero, yScale, yZero] = node.inputs as readonly [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    const [sums, floats, scale, scaled] = ['sums', 'floats', 'scale', 'scaled'].map((part) =>
      this.fresh(`${y}_${part}`),
    ) as [string, string, string, string];
    return [
      makeNode('MatMulInteger', [a, b, aZero, bZero], [sums], {}, { name: '' }),
      makeNode('Cast', [sums], [floats], { to: DATA_TYPES.indexOf('float32') }, { name: '' }),
      makeNode('Mul', [aScale, bScale], [scale], {}, { name: '' }),
      makeNode('Mul', [floats, scale], [scaled], {}, { name: '' }),
      makeNode('QuantizeLinear', [scaled, yScale, yZero], [y], {}, { name: '' }),
    ];
  }

  /** Weights kept as floats with a QuantizeLinear behind them, as exports of quantization-aware training have them. */
  private shiftQuantizer(product: IntegerProduct, { producer, consumers }: GraphIndex): void {
    const name = inputName(product.reader, product.inputs.codes);
    const quantizer = producer.get(name);
    if (quantizer?.opType !== 'QuantizeLinear' || !this.graph.initializers.has(inputName(quantizer))) return;
    if ((consumers.get(name) ?? []).length > 1 || quantizer.attributes.has('output_dtype')) return;
    const zero = this.graph.initializers.get(quantizer.inputs[2] ?? '');
    if (zero?.dtype !== 'int8') return;
    this.changed.set(quantizer, [{ ...quantizer, inputs: [...quantizer.inputs.slice(0, 2), this.shift(zero)] }]);
    this.shiftReader(product, null);
  }

  private zeroPoint(name: string | undefined, scale: string | undefined): string {
    const present = name ? this.graph.initializers.get(name) : undefined;
    if (present?.dtype === 'int8') return this.shift(present);
    if (name) return name; // shifted already, with the codes it is shared with
    const dims = this.graph.initializers.get(scale ?? '')?.dims ?? [];
    return this.add(
      fromHost(
        this.fresh('zero_point_uint8'),
        hostOf('uint8', dims, new Array<number>(elementCount(dims)).fill(OFFSET)),
      ),
    );
  }

  private shift(tensor: Tensor): string {
    let name = this.shifted.get(tensor);
    if (name === undefined) {
      const data = Uint8Array.from(toHost(tensor).data as Int8Array, (code) => code + OFFSET);
      name = this.add(fromHost(this.fresh(`${tensor.name}_uint8`), { dtype: 'uint8', dims: tensor.dims, data }));
      this.shifted.set(tensor, name);
    }
    return name;
  }

  private add(tensor: Tensor): string {
    this.tensors.set(tensor.name, tensor);
    return tensor.name;
  }
}
