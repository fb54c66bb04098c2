/**
 * Which nodes compute in 8 bits and which values are quantized.
 *
 * Convolutions and products with constant weights (the seeds) are faster in integers. Operators between them with
 * integer kernels in onnxruntime join in if their inputs are quantized anyway and a quantized node reads their output;
 * elsewhere conversions would cost more than they save. Operators that only move data keep the scale of their input.
 */
import { elementAt, entryOf, inputName, outputName } from '../../../ir/checked-access.ts';
import { indexGraph, type GraphIndex } from '../../../ir/edit.ts';
import { hostNumbers, toHost } from '../../../ir/tensor-data.ts';
import type { Graph, Node, Tensor } from '../../../ir/types.ts';
import { floatAttribute } from '../../../ir/node-attributes.ts';
import { weightAxes } from '../../../weights/weight-axes.ts';

export interface PlannedNode {
  readonly node: Node;
  readonly kind: 'kernel' | 'joined' | 'moves-data';
  /** Inputs that are quantized activations. */
  readonly activations: readonly number[];
  /** The constant kernel's input, for seeds. */
  readonly kernel: number | null;
  readonly bias: number | null;
  /** The Relu or Clip that follows; the output's quantizer clamps in its place. */
  readonly clamp: Node | null;
  /** The output value, after the clamp. */
  readonly output: string;
  /** False for products read by float operators only: integer kernels can return floats. */
  readonly quantizesOutput: boolean;
}

export interface StaticPlan {
  readonly nodes: ReadonlyMap<Node, PlannedNode>;
  /** Maps every quantized activation to the value whose range and scale it shares. */
  readonly scaleOf: ReadonlyMap<string, string>;
  /** Clamps to remove. */
  readonly removed: ReadonlySet<Node>;
}

interface KernelRule {
  readonly kernel: number;
  readonly bias: number | null;
  readonly ranks: readonly number[];
}

const KERNELS: Readonly<Partial<Record<string, KernelRule>>> = {
  Conv: { kernel: 1, bias: 2, ranks: [3, 4, 5] },
  Gemm: { kernel: 1, bias: 2, ranks: [2] },
  MatMul: { kernel: 1, bias: null, ranks: [2] },
};
/** Operators with integer kernels (QLinearAdd...) -> their activations; null: all inputs. */
const JOINERS: Readonly<Record<string, readonly number[] | null>> = {
  Add: [0, 1],
  Mul: [0, 1],
  Concat: null,
  AveragePool: [0],
  GlobalAveragePool: [0],
  LeakyRelu: [0],
  Sigmoid: [0],
};
const MOVERS: ReadonlySet<string> = new Set([
  'MaxPool',
  'Reshape',
  'Flatten',
  'Transpose',
  'Squeeze',
  'Unsqueeze',
  'DepthToSpace',
  'SpaceToDepth',
  'Slice',
  'Resize',
]);

/** `selected`: whether this node may be quantized. */
export function planStatic(graph: Graph, selected: (node: Node) => boolean): StaticPlan {
  const index = indexGraph(graph);
  const context: Context = { graph, index, dequantized: dequantizedValues(graph) };
  const kinds = new Map<Node, PlannedNode['kind']>();
  for (const node of graph.nodes) {
    const kind = kindOf(node, context);
    if (kind && selected(node)) kinds.set(node, kind);
  }
  dropUnprofitable(kinds, context);
  const nodes = new Map([...kinds].map(([node, kind]) => [node, planNode(node, kind, kinds, context)]));
  return {
    nodes,
    scaleOf: shareScales(nodes),
    removed: new Set([...nodes.values()].flatMap(({ clamp }) => (clamp ? [clamp] : []))),
  };
}

interface Context {
  readonly graph: Graph;
  readonly index: GraphIndex;
  /** Outputs of DequantizeLinear: already quantized. */
  readonly dequantized: ReadonlySet<string>;
}

const dequantizedValues = (graph: Graph) =>
  new Set(graph.nodes.filter(({ opType }) => opType === 'DequantizeLinear').map((node) => outputName(node)));

const isActivation = (name: string | undefined, { graph }: Context): name is string =>
  name !== undefined && name !== '' && !graph.initializers.has(name);

function kindOf(node: Node, context: Context): PlannedNode['kind'] | null {
  if (node.domain !== '' || node.inputs.some((name) => context.dequantized.has(name))) return null;
  const rule = KERNELS[node.opType];
  if (rule) return isKernelNode(node, rule, context) ? 'kernel' : null;
  if (node.opType in JOINERS) return node.inputs.every((name) => isActivation(name, context)) ? 'joined' : null;
  return MOVERS.has(node.opType) && movesData(node, context) ? 'moves-data' : null;
}

function isKernelNode(node: Node, { kernel, bias, ranks }: KernelRule, context: Context): boolean {
  const weight = context.graph.initializers.get(inputName(node, kernel));
  if (weight?.dtype !== 'float32' || !ranks.includes(weight.dims.length)) return false;
  if (!isActivation(node.inputs[0], context)) return false;
  if (context.index.outputs.has(weight.name) || !weightAxes(node, kernel, weight.dims.length)) return false;
  // the factor is folded into the kernel
  if (gemmAlpha(node) !== 1 && usesOf(weight.name, context.index).length > 1) return false;
  const biasName = bias === null ? undefined : node.inputs[bias];
  return !biasName || biasOf(node, context.graph) !== null;
}

/**
 * The bias as one value per output channel, times Gemm's beta; null if it is not constant or varies along other axes.
 */
export function biasOf(node: Node, graph: Graph): readonly number[] | null {
  const rule = KERNELS[node.opType];
  if (!rule || rule.bias === null) return null;
  const bias = graph.initializers.get(node.inputs[rule.bias] ?? '');
  if (bias?.dtype !== 'float32') return null;
  const channels = outputChannels(node, rule.kernel, graph);
  const values = hostNumbers(toHost(bias)).map(
    (value) => value * (node.opType === 'Gemm' ? floatAttribute(node, 'beta', 1) : 1),
  );
  if (values.length === 1) return Array<number>(channels).fill(elementAt(values, 0, 'bias'));
  return values.length === channels && bias.dims.at(-1) === channels ? values : null;
}

function outputChannels(node: Node, kernel: number, { initializers }: Graph): number {
  const { dims } = entryOf(initializers, inputName(node, kernel), 'kernel');
  const channel = weightAxes(node, kernel, dims.length)?.channel ?? -1;
  return elementAt(dims, channel, 'axis of output channels');
}

function movesData(node: Node, context: Context): boolean {
  if (!isActivation(node.inputs[0], context) || node.outputs.filter((name) => name !== '').length !== 1) return false;
  if (node.opType !== 'Resize') return true;
  const mode = node.attributes.get('mode');
  const coordinates = node.attributes.get('coordinate_transformation_mode');
  return (
    (mode?.kind !== 'string' || mode.value !== 'cubic') &&
    !(coordinates?.kind === 'string' && coordinates.value === 'tf_crop_and_resize')
  );
}

/** The indices of a node's activations. */
function activationsOf(node: Node, kind: PlannedNode['kind']): readonly number[] {
  return kind === 'joined' ? (JOINERS[node.opType] ?? node.inputs.map((_, i) => i)) : [0];
}

/** Removes joiners and movers that have a float input or no quantized reader, until none is left. */
function dropUnprofitable(kinds: Map<Node, PlannedNode['kind']>, { index }: Context): void {
  const quantizedHere = (name: string): boolean => {
    const producer = index.producer.get(name);
    const source = producer && isClamp(producer) ? (index.producer.get(inputName(producer)) ?? producer) : producer;
    if (source && kinds.has(source)) return true;
    return usesOf(name, index).some(({ node, input }) => kinds.get(node) === 'kernel' && input === 0);
  };
  const isRead = (node: Node): boolean =>
    usesOf(outputName(node), index).some(
      ({ node: reader }) => kinds.has(reader) || (isClamp(reader) && isRead(reader)),
    );
  for (let changed = true; changed; ) {
    changed = false;
    for (const [node, kind] of kinds) {
      if (kind === 'kernel') continue;
      if (activationsOf(node, kind).every((i) => quantizedHere(inputName(node, i))) && isRead(node)) continue;
      kinds.delete(node);
      changed = true;
    }
  }
}

/** Relu or Clip. */
export const isClamp = ({ opType, domain }: Node): boolean => domain === '' && (opType === 'Relu' || opType === 'Clip');

function planNode(
  node: Node,
  kind: PlannedNode['kind'],
  kinds: ReadonlyMap<Node, PlannedNode['kind']>,
  context: Context,
): PlannedNode {
  const clamp = kind === 'moves-data' ? null : clampBehind(node, context);
  const output = outputName(clamp ?? node);
  const quantizesOutput = !givesFloats(node, clamp) || readByQuantized(output, kinds, context);
  const planned = {
    node,
    kind,
    activations: activationsOf(node, kind),
    kernel: kind === 'kernel' ? (KERNELS[node.opType]?.kernel ?? null) : null,
    bias: KERNELS[node.opType]?.bias ?? null,
  };
  return quantizesOutput
    ? { ...planned, clamp, output, quantizesOutput }
    : { ...planned, clamp: null, output: outputName(node), quantizesOutput };
}

/**
 * Products that onnxruntime can compute from integers to floats. It fuses a Gemm with a clamp before it looks for
 * integers, and then dequantizes the weight in every run.
 */
const givesFloats = ({ opType }: Node, clamp: Node | null) =>
  opType === 'MatMul' || (opType === 'Gemm' && clamp === null);

const readByQuantized = (name: string, kinds: ReadonlyMap<Node, PlannedNode['kind']>, { index }: Context) =>
  usesOf(name, index).some(({ node, input }) => {
    const kind = kinds.get(node);
    return kind !== undefined && activationsOf(node, kind).includes(input);
  });

const usesOf = (name: string, { consumers }: GraphIndex) => consumers.get(name) ?? [];

/**
 * The Relu or Clip that is the only reader of a node's output, with bounds that enclose zero, so that a quantizer's
 * range can replace it.
 */
function clampBehind(node: Node, { graph, index }: Context): Node | null {
  const name = outputName(node);
  const [reader, ...others] = usesOf(name, index);
  if (!reader || others.length > 0 || reader.input !== 0 || !isClamp(reader.node) || index.outputs.has(name))
    return null;
  if (reader.node.opType === 'Relu') return reader.node;
  const low = clipBound(reader.node, { input: 1, attribute: 'min', fallback: -Infinity }, graph);
  const high = clipBound(reader.node, { input: 2, attribute: 'max', fallback: Infinity }, graph);
  return low !== null && high !== null && low <= 0 && high >= 0 ? reader.node : null;
}

interface Bound {
  readonly input: number;
  readonly attribute: string;
  readonly fallback: number;
}

function clipBound(node: Node, { input, attribute, fallback }: Bound, graph: Graph): number | null {
  const name = node.inputs[input];
  if (!name) return floatAttribute(node, attribute, fallback);
  const tensor: Tensor | undefined = graph.initializers.get(name);
  return tensor ? elementAt(hostNumbers(toHost(tensor)), 0, 'bound') : null;
}

/** Maps quantized values to the value whose scale they take: a mover's output has the scale of its input. */
function shareScales(nodes: ReadonlyMap<Node, PlannedNode>): Map<string, string> {
  const moved = new Map(
    [...nodes.values()]
      .filter(({ kind }) => kind === 'moves-data')
      .map(({ node, output }) => [output, inputName(node)]),
  );
  const rootOf = (name: string): string => {
    const source = moved.get(name);
    return source === undefined ? name : rootOf(source);
  };
  const names = [...nodes.values()].flatMap(({ node, activations, output, quantizesOutput }) => [
    ...activations.map((i) => inputName(node, i)),
    ...(quantizesOutput ? [output] : []),
  ]);
  return new Map(names.map((name) => [name, rootOf(name)]));
}

/** The factor of a Gemm's product; it is folded into the kernel. */
export const gemmAlpha = (node: Node): number => (node.opType === 'Gemm' ? floatAttribute(node, 'alpha', 1) : 1);
