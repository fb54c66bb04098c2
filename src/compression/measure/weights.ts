/** What a file's weights are: every constant of numbers that enters the arithmetic, with quantized ones counted by the values they stand for. */
import { constantTensor } from '../graph/constants.ts';
import { subgraphs } from '../graph/edit.ts';
import { elementCount, isFloat, toHost } from '../graph/tensor-data.ts';
import type { Graph, Model, Node, Tensor } from '../graph/types.ts';

export interface WeightCount {
  readonly parameters: number;
  /** Weights whose value is not zero: of a quantized one, that differ from its zero point. */
  readonly nonZero: number;
}

/** Quantized weights by operator: [weight input, zero-point input]. */
const QUANTIZED_INPUTS: Readonly<Record<string, readonly (readonly [number, number])[]>> = {
  DequantizeLinear: [[0, 2]], QLinearConv: [[3, 5], [8, -1]], QLinearMatMul: [[0, 2], [3, 5]], ConvInteger: [[1, 3]], MatMulInteger: [[0, 2], [1, 3]],
  MatMulNBits: [[1, 3]], QGemm: [[3, 5], [6, -1]], DynamicQuantizeMatMul: [[1, 3]], MatMulIntegerToFloat: [[1, 5]],
};
/** Inputs that scale, shift or place, and hold no weights: of quantizing operators, and the float ones of shape operators. */
const NO_WEIGHTS: Readonly<Record<string, readonly number[]>> = {
  QuantizeLinear: [1, 2], DequantizeLinear: [1, 2], QLinearConv: [1, 2, 4, 5, 6, 7], QLinearMatMul: [1, 2, 4, 5, 6, 7], ConvInteger: [2, 3], MatMulInteger: [2, 3],
  MatMulNBits: [2, 3], QGemm: [1, 2, 4, 5, 7, 8], DynamicQuantizeMatMul: [2, 3], MatMulIntegerToFloat: [2, 3, 4, 5], Resize: [1, 2, 3], Upsample: [1], Clip: [1, 2],
  Pad: [2], Range: [0, 1, 2], OneHot: [1, 2], NonMaxSuppression: [2, 3, 4], ConstantOfShape: [0], Dropout: [1, 2],
};

interface Found {
  readonly tensor: Tensor;
  zero: Tensor | null;
  quantized: boolean;
}

export function countWeights(model: Model): WeightCount {
  const found = new Map<Tensor, Found>();
  collect(model.graph, () => undefined, found);
  let [parameters, nonZero] = [0, 0];
  for (const { tensor, zero, quantized } of found.values()) {
    const total = weightElements(tensor, zero, quantized);
    parameters += total.parameters;
    nonZero += total.nonZero;
  }
  return { parameters, nonZero };
}

type Lookup = (name: string) => Tensor | undefined;

function collect(graph: Graph, outer: Lookup, found: Map<Tensor, Found>): void {
  const constants = new Map<string, Tensor>(graph.initializers);
  for (const node of graph.nodes) {
    const tensor = constantTensor(node);
    if (tensor) constants.set(tensor.name, tensor);
  }
  const lookup: Lookup = (name) => constants.get(name) ?? outer(name);
  for (const node of graph.nodes) {
    visit(node, lookup, found);
    for (const { graph: inner } of subgraphs(node)) collect(inner, lookup, found);
  }
}

function visit(node: Node, lookup: Lookup, found: Map<Tensor, Found>): void {
  node.inputs.forEach((name, input) => {
    const tensor = name === '' ? undefined : lookup(name);
    if (!tensor || NO_WEIGHTS[node.opType]?.includes(input)) return;
    const role = QUANTIZED_INPUTS[node.opType]?.find(([weight]) => weight === input);
    if (!role && !isFloat(tensor.dtype)) return;
    const zeroName = role && role[1] >= 0 ? node.inputs[role[1]] : undefined;
    const zero = zeroName ? (lookup(zeroName) ?? null) : null;
    found.set(tensor, { tensor, zero: zero ?? found.get(tensor)?.zero ?? null, quantized: role !== undefined });
  });
}

function weightElements(tensor: Tensor, zero: Tensor | null, quantized: boolean): WeightCount {
  if (tensor.dtype === 'uint8' && tensor.dims.length === 3 && quantized) return packedElements(tensor);
  const { data } = toHost(tensor);
  const parameters = elementCount(tensor.dims);
  const zeros = zero ? Array.from(toHost(zero).data as ArrayLike<number>, Number) : [0];
  // Per-channel zero points follow the one axis of their length; symmetric weights (all zero points 0) need no such care.
  const axis = zeros.length === 1 ? -1 : tensor.dims.indexOf(zeros.length);
  const inner = axis < 0 ? parameters : elementCount(tensor.dims.slice(axis + 1));
  let nonZero = 0;
  for (let i = 0; i < parameters; i++) if (Number(data[i]) !== zeros[axis < 0 ? 0 : Math.floor(i / inner) % zeros.length]) nonZero++;
  return { parameters, nonZero };
}

/** MatMulNBits keeps two 4-bit weights in a byte, [n, blocks, bytes], around the zero point 8. */
function packedElements(tensor: Tensor): WeightCount {
  let nonZero = 0;
  for (const byte of tensor.bytes) nonZero += Number((byte & 15) !== 8) + Number(byte >> 4 !== 8);
  return { parameters: tensor.bytes.length * 2, nonZero };
}
