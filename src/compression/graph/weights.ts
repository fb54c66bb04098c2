/**
 * Counts a file's weights: every numeric constant that enters the arithmetic. Quantized and clustered weights count by
 * the values they stand for.
 */
import { expandCodebooks } from './codebooks.ts';
import { constantTensor } from '../ir/constants.ts';
import { subgraphs } from '../ir/edit.ts';
import { BITS, elementCount, isFloat, toHost } from '../ir/tensor-data.ts';
import type { Graph, Node, Tensor } from '../ir/types.ts';

export interface WeightCount {
  readonly parameters: number;
  /** Weights that are not zero; a quantized weight is zero where it equals its zero point. */
  readonly nonZero: number;
}

/** Quantized weights by operator: [weight input, zero-point input]. */
const QUANTIZED_INPUTS = byType<readonly (readonly [number, number])[]>({
  DequantizeLinear: [[0, 2]],
  QLinearConv: [
    [3, 5],
    [8, -1],
  ],
  QLinearMatMul: [
    [0, 2],
    [3, 5],
  ],
  ConvInteger: [[1, 3]],
  MatMulInteger: [
    [0, 2],
    [1, 3],
  ],
  MatMulNBits: [[1, 3]],
  Cast: [[0, -1]],
  QGemm: [
    [3, 5],
    [6, -1],
  ],
  DynamicQuantizeMatMul: [[1, 3]],
  MatMulIntegerToFloat: [[1, 5]],
  QAttention: [[1, 7]],
  DynamicQuantizeLSTM: [
    [1, 9],
    [2, 11],
  ],
  GatherBlockQuantized: [[0, 3]],
  MatMulBnb4: [[1, -1]],
  QLinearAdd: [
    [0, 2],
    [3, 5],
  ],
  QLinearMul: [
    [0, 2],
    [3, 5],
  ],
  QLinearWhere: [
    [1, 3],
    [4, 6],
  ],
});
/**
 * Inputs that hold no weights: scales and zero points of quantizing operators, float settings of shape operators, and
 * tables of angles.
 */
const NO_WEIGHTS = byType<readonly number[]>({
  QuantizeLinear: [1, 2],
  DequantizeLinear: [1, 2],
  QLinearConv: [1, 2, 4, 5, 6, 7],
  QLinearMatMul: [1, 2, 4, 5, 6, 7],
  ConvInteger: [2, 3],
  MatMulInteger: [2, 3],
  MatMulNBits: [2, 3],
  QGemm: [1, 2, 4, 5, 7, 8],
  DynamicQuantizeMatMul: [2, 3],
  MatMulIntegerToFloat: [2, 3, 4, 5],
  Resize: [1, 2, 3],
  Upsample: [1],
  Clip: [1, 2],
  Pad: [2],
  Range: [0, 1, 2],
  OneHot: [1, 2],
  NonMaxSuppression: [2, 3, 4],
  ConstantOfShape: [0],
  Dropout: [1, 2],
  QLinearAdd: [1, 2, 4, 5, 6, 7],
  QLinearMul: [1, 2, 4, 5, 6, 7],
  QLinearSigmoid: [1, 2, 3, 4],
  QLinearLeakyRelu: [1, 2, 3, 4],
  QLinearSoftmax: [1, 2, 3, 4],
  QLinearAveragePool: [1, 2, 3, 4],
  QLinearGlobalAveragePool: [1, 2, 3, 4],
  QLinearReduceMean: [1, 2, 3, 4],
  QLinearWhere: [2, 3, 5, 6, 7, 8],
  QAttention: [3, 4, 6, 7],
  DynamicQuantizeLSTM: [8, 9, 10, 11],
  GatherBlockQuantized: [2, 3],
  MatMulBnb4: [2],
  RotaryEmbedding: [1, 2],
  'com.microsoft.RotaryEmbedding': [2, 3],
  GroupQueryAttention: [7, 8, 12, 13],
});

/** Whether a constant at this input is a weight, and not a setting, scale or zero point. */
export function holdsWeight({ opType, domain }: Node, input: number): boolean {
  // scale and zero point of the result, then (values, scale, zero point) each
  if (opType === 'QLinearConcat') return input >= 2 && input % 3 === 2;
  return !(NO_WEIGHTS.get(`${domain}.${opType}`) ?? NO_WEIGHTS.get(opType))?.includes(input);
}

/** Maps, not objects: operator types come from files, and may be called "constructor". */
function byType<T>(entries: Readonly<Record<string, T>>): ReadonlyMap<string, T> {
  return new Map(Object.entries(entries));
}

/** A weight with its zero point and packing. */
interface CountableWeight {
  readonly tensor: Tensor;
  readonly zero: Tensor | null;
  /** Bits of each code, where several lie in one byte of the tensor; null: the tensor's elements are the codes. */
  readonly bits: number | null;
}

export function countWeights(graph: Graph): WeightCount {
  const found = new Map<Tensor, CountableWeight>();
  collect(expandCodebooks(graph), () => undefined, found);
  let [parameters, nonZero] = [0, 0];
  for (const weight of found.values()) {
    const total =
      weight.bits !== null ? packedElements(weight.tensor, weight.bits) : elements(weight.tensor, weight.zero);
    parameters += total.parameters;
    nonZero += total.nonZero;
  }
  return { parameters, nonZero };
}

type Lookup = (name: string) => Tensor | undefined;

function collect(graph: Graph, outer: Lookup, found: Map<Tensor, CountableWeight>): void {
  const constants = new Map<string, Tensor>(graph.initializers);
  for (const node of graph.nodes) {
    const tensor = constantTensor(node);
    if (tensor) constants.set(tensor.name, tensor);
  }
  const lookup: Lookup = (name) => constants.get(name) ?? outer(name);
  const readers = new Map(graph.nodes.flatMap((node) => node.inputs.map((name): [string, Node] => [name, node])));
  // values computed from codes and constants alone: constants that scale them are not weights
  const unpacked = new Set<string>();
  const dynamicScales = new Set(
    graph.nodes.flatMap((node) => (node.opType === 'DynamicQuantizeLinear' ? (node.outputs[1] ?? []) : [])),
  );
  for (const node of graph.nodes) {
    if (node.inputs.some((name) => dynamicScales.has(name))) continue;
    const unpacks = unpacksWeights(node, lookup, unpacked);
    if (unpacks) for (const name of node.outputs) unpacked.add(name);
    if (!unpacks || node.opType === 'Cast') visit(node, lookup, readers, found);
    for (const { graph: inner } of subgraphs(node)) collect(inner, lookup, found);
  }
}

function visit(
  node: Node,
  lookup: Lookup,
  readers: ReadonlyMap<string, Node>,
  found: Map<Tensor, CountableWeight>,
): void {
  node.inputs.forEach((name, input) => {
    const tensor = name === '' ? undefined : lookup(name);
    if (!tensor || !holdsWeight(node, input)) return;
    const role = QUANTIZED_INPUTS.get(node.opType)?.find(([weight]) => weight === input);
    if (!isFloat(tensor.dtype) && !(role && isCode(node, tensor))) return;
    const zero = zeroPointOf(node, role, lookup, readers) ?? found.get(tensor)?.zero ?? null;
    found.set(tensor, { tensor, zero, bits: packedBits(node, tensor, readers) });
  });
}

function unpacksWeights(node: Node, lookup: Lookup, unpacked: ReadonlySet<string>): boolean {
  const source = lookup(node.inputs[0] ?? '');
  if (node.opType === 'Cast' && source) return isCode(node, source);
  return (
    node.inputs.some((name) => unpacked.has(name)) &&
    node.inputs.every((name) => unpacked.has(name) || lookup(name) !== undefined)
  );
}

/** Integers that stand for weights: biases have 32 bits, but a Cast of such is shape arithmetic. */
const isCode = (node: Node, { dtype }: Tensor): boolean =>
  BITS[dtype] <= 8 || (dtype === 'int32' && node.opType !== 'Cast');

/**
 * Blocks of codes, of which the node says how wide they are, and bytes that are cast and parted into low and high half
 * by a product with 1/16 and Floor.
 */
function packedBits(node: Node, { dtype }: Tensor, readers: ReadonlyMap<string, Node>): number | null {
  if (dtype !== 'uint8') return null;
  if (node.opType === 'MatMulBnb4') return 4;
  if (node.opType === 'MatMulNBits' || node.opType === 'GatherBlockQuantized') {
    const bits = node.attributes.get('bits');
    return bits?.kind === 'int' && (bits.value === 2 || bits.value === 8) ? bits.value : 4;
  }
  return node.opType === 'Cast' && isHalved(node, readers) ? 4 : null;
}

function isHalved(node: Node, readers: ReadonlyMap<string, Node>): boolean {
  const reader = (made: Node | undefined) => (made ? readers.get(made.outputs[0] ?? '') : undefined);
  return (
    reader(node)?.opType === 'Sub' &&
    [...readers.values()].some(
      (other) => other.opType === 'Mul' && other.inputs[0] === node.outputs[0] && reader(other)?.opType === 'Floor',
    )
  );
}

/** The zero point among the node's inputs, or behind a Cast what is subtracted. */
function zeroPointOf(
  node: Node,
  role: readonly [number, number] | undefined,
  lookup: Lookup,
  readers: ReadonlyMap<string, Node>,
): Tensor | undefined {
  if (!role) return undefined;
  const next = node.opType === 'Cast' ? readers.get(node.outputs[0] ?? '') : undefined;
  const name = next?.opType === 'Sub' ? next.inputs[1] : node.inputs[role[1]];
  return name ? lookup(name) : undefined;
}

/** Zero points follow the one axis of their length (or broadcast as they are shaped). */
function elements(tensor: Tensor, zero: Tensor | null): WeightCount {
  const { data } = toHost(tensor);
  const parameters = elementCount(tensor.dims);
  const zeros = zero ? Array.from(toHost(zero).data as ArrayLike<number>, Number) : [0];
  const groupOf = !zero || zeros.length === 1 ? () => 0 : zeroGroups(tensor.dims, zero.dims, zeros.length);
  let nonZero = 0;
  for (let i = 0; i < parameters; i++) if (Number(data[i]) !== zeros[groupOf(i)]) nonZero++;
  return { parameters, nonZero };
}

function zeroGroups(dims: readonly number[], zeroDims: readonly number[], count: number): (element: number) => number {
  const sizes =
    zeroDims.length === dims.length ? zeroDims : dims.map((size, axis) => (axis === dims.indexOf(count) ? size : 1));
  const strides = sizes.map((size, axis) => (size === 1 ? 0 : elementCount(sizes.slice(axis + 1))));
  return (element) => {
    let group = 0;
    for (let axis = dims.length - 1, rest = element; axis >= 0; axis--) {
      group += (rest % dims[axis]!) * strides[axis]!;
      rest = Math.floor(rest / dims[axis]!);
    }
    return Math.min(group, count - 1);
  };
}

/** Codes from the low bits of each byte on; the middle of their range stands for zero. */
function packedElements(tensor: Tensor, bits: number): WeightCount {
  const zero = 2 ** (bits - 1);
  const mask = 2 ** bits - 1;
  let nonZero = 0;
  for (const byte of tensor.bytes)
    for (let shift = 0; shift < 8; shift += bits) nonZero += Number(((byte >> shift) & mask) !== zero);
  return { parameters: tensor.bytes.length * (8 / bits), nonZero };
}
