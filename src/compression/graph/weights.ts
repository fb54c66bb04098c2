/** What a file's weights are: every constant of numbers that enters the arithmetic, with quantized ones counted by the values they stand for. */
import { constantTensor } from './constants.ts';
import { subgraphs } from './edit.ts';
import { BITS, elementCount, isFloat, toHost } from './tensor-data.ts';
import type { Graph, Node, Tensor } from './types.ts';

export interface WeightCount {
  readonly parameters: number;
  /** Weights whose value is not zero: of a quantized one, that differ from its zero point. */
  readonly nonZero: number;
}

/** Quantized weights by operator: [weight input, zero-point input]. */
const QUANTIZED_INPUTS = byType<readonly (readonly [number, number])[]>({
  DequantizeLinear: [[0, 2]], QLinearConv: [[3, 5], [8, -1]], QLinearMatMul: [[0, 2], [3, 5]], ConvInteger: [[1, 3]], MatMulInteger: [[0, 2], [1, 3]],
  MatMulNBits: [[1, 3]], Cast: [[0, -1]], QGemm: [[3, 5], [6, -1]], DynamicQuantizeMatMul: [[1, 3]], MatMulIntegerToFloat: [[1, 5]],
});
/** Inputs that scale, shift or place, and hold no weights: of quantizing operators, and the float ones of shape operators. */
const NO_WEIGHTS = byType<readonly number[]>({
  QuantizeLinear: [1, 2], DequantizeLinear: [1, 2], QLinearConv: [1, 2, 4, 5, 6, 7], QLinearMatMul: [1, 2, 4, 5, 6, 7], ConvInteger: [2, 3], MatMulInteger: [2, 3],
  MatMulNBits: [2, 3], QGemm: [1, 2, 4, 5, 7, 8], DynamicQuantizeMatMul: [2, 3], MatMulIntegerToFloat: [2, 3, 4, 5], Resize: [1, 2, 3], Upsample: [1], Clip: [1, 2],
  Pad: [2], Range: [0, 1, 2], OneHot: [1, 2], NonMaxSuppression: [2, 3, 4], ConstantOfShape: [0], Dropout: [1, 2],
  QLinearAdd: [1, 2, 4, 5, 6, 7], QLinearMul: [1, 2, 4, 5, 6, 7], QLinearSigmoid: [1, 2, 3, 4], QLinearLeakyRelu: [1, 2, 3, 4], QLinearSoftmax: [1, 2, 3, 4],
  QLinearAveragePool: [1, 2, 3, 4], QLinearGlobalAveragePool: [1, 2, 3, 4],
});

/** Maps, not objects: operator types come from files, and may be called "constructor". */
function byType<T>(entries: Readonly<Record<string, T>>): ReadonlyMap<string, T> {
  return new Map(Object.entries(entries));
}

/** A weight with what is needed to tell its zeros. */
interface Found {
  readonly tensor: Tensor;
  readonly zero: Tensor | null;
  /** Two 4-bit codes in each byte. */
  readonly packed: boolean;
}

export function countWeights(graph: Graph): WeightCount {
  const found = new Map<Tensor, Found>();
  collect(graph, () => undefined, found);
  let [parameters, nonZero] = [0, 0];
  for (const weight of found.values()) {
    const total = weight.packed ? packedElements(weight.tensor) : elements(weight.tensor, weight.zero);
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
  const readers = new Map(graph.nodes.flatMap((node) => node.inputs.map((name): [string, Node] => [name, node])));
  const unpacked = new Set<string>(); // values computed from codes and constants alone: the constants that scale them are no weights
  const dynamicScales = new Set(graph.nodes.flatMap((node) => (node.opType === 'DynamicQuantizeLinear' ? [node.outputs[1]!] : [])));
  for (const node of graph.nodes) {
    if (node.inputs.some((name) => dynamicScales.has(name))) continue;
    const unpacks = unpacksWeights(node, lookup, unpacked);
    if (unpacks) for (const name of node.outputs) unpacked.add(name);
    if (!unpacks || node.opType === 'Cast') visit(node, lookup, readers, found);
    for (const { graph: inner } of subgraphs(node)) collect(inner, lookup, found);
  }
}

function visit(node: Node, lookup: Lookup, readers: ReadonlyMap<string, Node>, found: Map<Tensor, Found>): void {
  node.inputs.forEach((name, input) => {
    const tensor = name === '' ? undefined : lookup(name);
    if (!tensor || NO_WEIGHTS.get(node.opType)?.includes(input)) return;
    const role = QUANTIZED_INPUTS.get(node.opType)?.find(([weight]) => weight === input);
    if (!isFloat(tensor.dtype) && !(role && isCode(node, tensor))) return;
    const zero = zeroPointOf(node, role, lookup, readers) ?? found.get(tensor)?.zero ?? null;
    found.set(tensor, { tensor, zero, packed: isPacked(node, tensor, readers) });
  });
}

function unpacksWeights(node: Node, lookup: Lookup, unpacked: ReadonlySet<string>): boolean {
  const source = lookup(node.inputs[0] ?? '');
  if (node.opType === 'Cast' && source) return isCode(node, source);
  return node.inputs.some((name) => unpacked.has(name)) && node.inputs.every((name) => unpacked.has(name) || lookup(name) !== undefined);
}

/** Integers that stand for weights: biases have 32 bits, but a Cast of such is shape arithmetic. */
const isCode = (node: Node, { dtype }: Tensor): boolean => BITS[dtype] <= 8 || (dtype === 'int32' && node.opType !== 'Cast');

/** MatMulNBits [n, blocks, bytes], and bytes that are cast and parted into low and high half by a product with 1/16 and Floor. */
function isPacked(node: Node, { dtype }: Tensor, readers: ReadonlyMap<string, Node>): boolean {
  if (dtype !== 'uint8') return false;
  if (node.opType === 'MatMulNBits') return true;
  if (node.opType !== 'Cast') return false;
  const reader = (made: Node | undefined) => (made ? readers.get(made.outputs[0]!) : undefined);
  return reader(node)?.opType === 'Sub' && [...readers.values()].some((other) => other.opType === 'Mul' && other.inputs[0] === node.outputs[0] && reader(other)?.opType === 'Floor');
}

/** The zero point among the node's inputs, or behind a Cast what is subtracted. */
function zeroPointOf(node: Node, role: readonly [number, number] | undefined, lookup: Lookup, readers: ReadonlyMap<string, Node>): Tensor | undefined {
  if (!role) return undefined;
  const next = node.opType === 'Cast' ? readers.get(node.outputs[0]!) : undefined;
  const name = next?.opType === 'Sub' ? next.inputs[1] : node.inputs[role[1]];
  return name ? lookup(name) : undefined;
}

/** Zero points follow the one axis of their length (or broadcast as they are shaped). */
function elements(tensor: Tensor, zero: Tensor | null): WeightCount {
  const { data } = toHost(tensor);
  const parameters = elementCount(tensor.dims);
  const zeros = zero ? Array.from(toHost(zero).data as ArrayLike<number>, Number) : [0];
  const groupOf = zeros.length === 1 ? () => 0 : zeroGroups(tensor.dims, zero!.dims, zeros.length);
  let nonZero = 0;
  for (let i = 0; i < parameters; i++) if (Number(data[i]) !== zeros[groupOf(i)]) nonZero++;
  return { parameters, nonZero };
}

function zeroGroups(dims: readonly number[], zeroDims: readonly number[], count: number): (element: number) => number {
  const sizes = zeroDims.length === dims.length ? zeroDims : dims.map((size, axis) => (axis === dims.indexOf(count) ? size : 1));
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

function packedElements(tensor: Tensor): WeightCount {
  let nonZero = 0;
  for (const byte of tensor.bytes) nonZero += Number((byte & 15) !== 8) + Number(byte >> 4 !== 8);
  return { parameters: tensor.bytes.length * 2, nonZero };
}
