/**
 * Which planned nodes would be slower in integers. onnxruntime 1.32 on an x86 with VNNI, one thread, us per layer, float against int8:
 * 1x1, 64 channels, 32x32: 72, 24; 1x1, 16 channels, 64x64: 19, 14; 3x3, 128 channels, 16x16: 665, 175; depthwise 3x3, 16 channels, 64x64:
 * 14, 53; depthwise 5x5, 64 channels, 32x32: 37, 65. So dense kernels gain by the multiplication, depthwise ones lose, and every value that
 * passes between float and integer operators costs its conversion.
 */
import { elementCount } from '../../../graph/tensor-data.ts';
import type { Graph, Node } from '../../../graph/types.ts';
import { intAttribute } from '../graph-parts.ts';
import type { PlannedNode, StaticPlan } from './plan.ts';

/** ns gained per multiply-accumulate of a dense kernel, lost per one of a depthwise kernel, and lost per element converted. */
const DENSE_GAIN = 0.011;
const DEPTHWISE_LOSS = 0.02;
const CONVERSION_LOSS = 0.08;
/** Input channels of a group below which a kernel is as good as depthwise. */
const DENSE_CHANNELS = 4;

/**
 * The nodes of those connected parts of a plan that lose more than they gain. `elements`: of values whose range was observed, for one sample.
 */
export function unprofitableNodes(graph: Graph, plan: StaticPlan, elements: ReadonlyMap<string, number>): Set<Node> {
  const parts = connectedParts(plan);
  const sizeOf = (name: string) => elements.get(plan.scaleOf.get(name) ?? name) ?? 0;
  const slow = [...parts.values()].filter((part) => part.reduce((sum, planned) => sum + kernelGain(graph, planned, sizeOf), 0) < conversionLoss(graph, plan, part, sizeOf));
  return new Set(slow.flat().map(({ node }) => node));
}

type SizeOf = (name: string) => number;

/** Nodes joined by values that stay integers between them. */
function connectedParts(plan: StaticPlan): Map<string, PlannedNode[]> {
  const parent = new Map<string, string>();
  const find = (name: string): string => {
    const up = parent.get(name) ?? name;
    if (up === name) return name;
    const root = find(up);
    parent.set(name, root);
    return root;
  };
  const inner = innerValues(plan);
  for (const { node, output, activations } of plan.nodes.values()) for (const i of activations) if (inner.has(node.inputs[i]!)) parent.set(find(node.inputs[i]!), find(output));
  const parts = new Map<string, PlannedNode[]>();
  for (const planned of plan.nodes.values()) {
    const root = find(planned.output);
    parts.set(root, [...(parts.get(root) ?? []), planned]);
  }
  return parts;
}

const innerValues = (plan: StaticPlan) => new Set([...plan.nodes.values()].filter(({ quantizesOutput }) => quantizesOutput).map(({ output }) => output));

/** ns; negative for depthwise kernels. */
function kernelGain(graph: Graph, { node, kernel, output }: PlannedNode, sizeOf: SizeOf): number {
  if (kernel === null) return 0;
  const { dims } = graph.initializers.get(node.inputs[kernel]!)!;
  if (node.opType !== 'Conv') return DENSE_GAIN * (sizeOf(node.inputs[0]!) / dims[node.opType === 'Gemm' && intAttribute(node, 'transB', 0) !== 0 ? 1 : 0]!) * elementCount(dims);
  const macs = sizeOf(output) * elementCount(dims.slice(1));
  return macs * (intAttribute(node, 'group', 1) > 1 && dims[1]! < DENSE_CHANNELS ? -DEPTHWISE_LOSS : DENSE_GAIN);
}

/** ns for what the part reads from and gives to float operators. */
function conversionLoss(graph: Graph, plan: StaticPlan, part: readonly PlannedNode[], sizeOf: SizeOf): number {
  const inner = innerValues(plan);
  const outer = new Set(part.flatMap(({ node, activations }) => activations.map((i) => node.inputs[i]!).filter((name) => !inner.has(name))));
  const floatReads = new Set(graph.outputs.map(({ name }) => name));
  for (const node of graph.nodes) {
    const planned = plan.nodes.get(node);
    if (!plan.removed.has(node)) node.inputs.forEach((name, i) => { if (!planned?.activations.includes(i)) floatReads.add(name); });
  }
  const given = part.filter(({ output, quantizesOutput }) => quantizesOutput && floatReads.has(output)).map(({ output }) => output);
  return [...outer, ...given].reduce((sum, name) => sum + sizeOf(name), 0) * CONVERSION_LOSS;
}
