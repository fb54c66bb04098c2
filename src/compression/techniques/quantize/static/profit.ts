/**
 * Which planned nodes would be slower in integers, by a cost model of onnxruntime 1.30 on an x86 with VNNI, one thread. Measured, us a layer,
 * float against int8: 1x1, 64 channels, 28x28: 43, 19; 3x3, 32 channels, 28x28: 97, 35; 3x3, 128 channels, 7x7: 89, 27; product of a row with
 * 1152x256: 26, 9; but 3x3 of 1 channel to 32, 28x28: 10, 29; of 3 to 32, 224x224 by 2: 173, 441; depthwise 3x3, 32 channels, 28x28: 11, 19.
 * So dense kernels gain by the multiplication. Those of images lose it to the copies that make the image a matrix, which cost the same
 * however few channels it has; depthwise ones lose; and every value that passes between float and integer operators costs its conversion.
 */
import { indexGraph } from '../../../graph/edit.ts';
import { elementCount } from '../../../graph/tensor-data.ts';
import type { Graph, Node } from '../../../graph/types.ts';
import { intAttribute } from '../../../graph/node-attributes.ts';
import type { PlannedNode, StaticPlan } from './plan.ts';
import { clampBefore, floatPoolBefore } from './pools.ts';

/** ns gained per multiply-accumulate of a dense kernel, and per weight of a matrix product, which is read anew for each sample. */
const DENSE_GAIN = 0.0085;
const WEIGHT_GAIN = 0.05;
/** ns lost per multiply-accumulate of a depthwise kernel, and per element converted. */
const DEPTHWISE_LOSS = 0.02;
const CONVERSION_LOSS = 0.5;
/** ns lost per element that a max pooling gives to a quantizer which nothing keeps from moving in front of it (pools.ts). */
const POOL_LOSS = 15;
/** ns lost per row of a kernel that is copied for one position of the output; fewer channels than DENSE_CHANNELS are copied one by one. */
const COPY_LOSS = 5;
const NARROW_COPY_LOSS = 8;
/** Input channels of a group below which a kernel of several groups is as good as depthwise. */
const DENSE_CHANNELS = 4;

/**
 * The plan without what loses more than it gains: first single layers (mostly those that read the image), then whole connected parts.
 * `planWithout` plans anew without some nodes; `elements`: of the plan's values, for one sample.
 */
export function fasterPlan(graph: Graph, plan: StaticPlan, planWithout: (excluded: ReadonlySet<Node>) => StaticPlan, elements: ReadonlyMap<string, number>): StaticPlan {
  const sizeOf: SizeOf = (name) => elements.get(name) ?? 0;
  let best = plan;
  const excluded = new Set<Node>();
  for (const planned of [...plan.nodes.values()].filter((node) => kernelGain(graph, node, sizeOf) < 0)) {
    const without = planWithout(new Set([...excluded, planned.node]));
    if (gain(graph, without, [...without.nodes.values()], sizeOf) <= gain(graph, best, [...best.nodes.values()], sizeOf)) continue;
    best = without;
    excluded.add(planned.node);
  }
  const losing = [...connectedParts(best).values()].filter((part) => gain(graph, best, part, sizeOf) < 0).flat();
  return losing.length === 0 ? best : planWithout(new Set([...excluded, ...losing.map(({ node }) => node)]));
}

/** ns that these nodes of a plan gain, what they convert included. */
function gain(graph: Graph, plan: StaticPlan, part: readonly PlannedNode[], sizeOf: SizeOf): number {
  return part.reduce((sum, planned) => sum + kernelGain(graph, planned, sizeOf), 0) - conversionLoss(graph, plan, part, sizeOf);
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

/** ns; negative where the kernel alone is slower. */
function kernelGain(graph: Graph, { node, kernel, output }: PlannedNode, sizeOf: SizeOf): number {
  if (kernel === null) return 0;
  const { dims } = graph.initializers.get(node.inputs[kernel]!)!;
  const weights = elementCount(dims);
  if (node.opType !== 'Conv') {
    const inputs = dims[node.opType === 'Gemm' && intAttribute(node, 'transB', 0) !== 0 ? 1 : 0]!;
    return DENSE_GAIN * (sizeOf(node.inputs[0]!) / inputs) * weights + WEIGHT_GAIN * weights;
  }
  const [channels, perGroup] = dims as [number, number];
  const positions = sizeOf(output) / channels;
  const macs = positions * weights;
  const narrow = perGroup < DENSE_CHANNELS;
  if (intAttribute(node, 'group', 1) > 1) return macs * (narrow ? -DEPTHWISE_LOSS : DENSE_GAIN);
  const copies = dims.slice(2).some((size) => size > 1) ? positions * elementCount(dims.slice(2, -1)) : 0;
  return macs * DENSE_GAIN - copies * (narrow ? NARROW_COPY_LOSS : COPY_LOSS);
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
  const index = indexGraph(graph);
  const slowPool = (name: string): boolean => {
    const pool = floatPoolBefore(name, plan, index);
    return pool !== null && clampBefore(pool, index) === null;
  };
  const lost = (names: readonly string[], perElement: number) => names.reduce((sum, name) => sum + sizeOf(name), 0) * perElement;
  return lost([...outer, ...given], CONVERSION_LOSS) + lost([...outer].filter(slowPool), POOL_LOSS);
}
