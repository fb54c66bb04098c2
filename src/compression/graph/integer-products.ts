/**
 * Where a model multiplies 8-bit integers by constant weights: products between QuantizeLinear and DequantizeLinear,
 * which runtimes compute in integers, and the operators on codes of ONNX and of onnxruntime.
 */
import { indexGraph, type GraphIndex } from '../ir/edit.ts';
import { eachNeighbour, pairMagnitude, MAX_PAIR_SUM, sumOrders, type SumOrder } from './saturation.ts';
import { toHost } from '../ir/tensor-data.ts';
import type { Graph, Node, Tensor } from '../ir/types.ts';

/** A node's inputs that hold a weight's codes, their zero point and their scale. */
export interface CodeInputs {
  readonly codes: number;
  readonly zero: number;
  /** null: the operator has no scale. */
  readonly scale: number | null;
}

export interface IntegerProduct {
  /** The operator that multiplies. */
  readonly node: Node;
  /** The node that reads the codes: the same one, or the DequantizeLinear in front of it. */
  readonly reader: Node;
  readonly inputs: CodeInputs;
}

const ON_CODES: Readonly<Record<string, readonly CodeInputs[]>> = {
  QLinearConv: [{ codes: 3, zero: 5, scale: 4 }],
  QLinearMatMul: [{ codes: 3, zero: 5, scale: 4 }],
  ConvInteger: [{ codes: 1, zero: 3, scale: null }],
  MatMulInteger: [{ codes: 1, zero: 3, scale: null }],
  'com.microsoft.MatMulIntegerToFloat': [{ codes: 1, zero: 5, scale: 3 }],
  'com.microsoft.DynamicQuantizeMatMul': [{ codes: 1, zero: 3, scale: 2 }],
  'com.microsoft.QGemm': [{ codes: 3, zero: 5, scale: 4 }],
  'com.microsoft.QAttention': [{ codes: 1, zero: 7, scale: 4 }],
  'com.microsoft.DynamicQuantizeLSTM': [
    { codes: 1, zero: 9, scale: 8 },
    { codes: 2, zero: 11, scale: 10 },
  ],
};
const BETWEEN_QUANTIZERS: ReadonlySet<string> = new Set(['Conv', 'Gemm', 'MatMul']);
const DEQUANTIZED: CodeInputs = { codes: 0, zero: 2, scale: 1 };

/** The products of one graph, bodies of control flow not included. */
export function integerProducts(graph: Graph): IntegerProduct[] {
  const index = indexGraph(graph);
  return graph.nodes.flatMap((node) => productsOf(node, index));
}

function productsOf(node: Node, { producer }: GraphIndex): IntegerProduct[] {
  const direct = ON_CODES[node.domain === '' ? node.opType : `${node.domain}.${node.opType}`];
  if (direct) return direct.map((inputs) => ({ node, reader: node, inputs }));
  if (node.domain !== '' || !BETWEEN_QUANTIZERS.has(node.opType)) return [];
  const [activation, weight] = [0, 1].map((i) => producer.get(node.inputs[i] ?? ''));
  const quantized = activation?.opType === 'DequantizeLinear' && weight?.opType === 'DequantizeLinear';
  return quantized ? [{ node, reader: weight, inputs: DEQUANTIZED }] : [];
}

/** The constant codes that a product reads; null where they are computed. */
export function constantCodes(graph: Graph, { reader, inputs }: IntegerProduct): Tensor | null {
  return graph.initializers.get(reader.inputs[inputs.codes] ?? '') ?? null;
}

/** Products whose int8 weights have neighbours that x86 processors without VNNI may add with saturation. */
export function saturatingProducts(graph: Graph): IntegerProduct[] {
  return integerProducts(graph).filter((product) => {
    const weight = constantCodes(graph, product);
    return (
      weight?.dtype === 'int8' && sumOrders(product.node, weight.dims).some((order) => exceedsPairLimit(weight, order))
    );
  });
}

function exceedsPairLimit(weight: Tensor, order: SumOrder): boolean {
  const codes = toHost(weight).data as Int8Array;
  let max = 0;
  eachNeighbour(weight.dims, order, (first, second) => {
    max = Math.max(max, pairMagnitude(codes[first]!, codes[second]!));
  });
  return max > MAX_PAIR_SUM;
}
