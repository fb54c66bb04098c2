/**
 * Which planned nodes would be slower in integers (costs/): dense kernels gain from the faster multiplication;
 * convolutions of few channels lose that to im2col, whose cost hardly depends on the channels; depthwise ones lose; and
 * every value that passes between float and integer operators costs a conversion.
 */
import { entryOf, inputName } from '../../../ir/checked-access.ts';
import { indexGraph } from '../../../ir/edit.ts';
import type { Graph, Node } from '../../../ir/types.ts';
import type { Costs } from './costs/costs.ts';
import { layerOf } from './costs/layer.ts';
import type { PlannedNode, StaticPlan } from './plan.ts';
import { clampBefore, floatPoolBefore } from './pools.ts';

/** The figures to judge a plan by. */
export interface CostContext {
  readonly graph: Graph;
  /** Elements of a value, for one sample. */
  sizeOf(name: string): number;
  readonly costs: Costs;
}

/**
 * The plan without what loses more than it gains: first single layers (mostly those that read the image), then whole
 * connected parts.
 * `planWithout` plans anew without some nodes.
 */
export function fasterPlan(
  costContext: CostContext,
  plan: StaticPlan,
  planWithout: (excluded: ReadonlySet<Node>) => StaticPlan,
): StaticPlan {
  let best = plan;
  const excluded = new Set<Node>();
  for (const planned of [...plan.nodes.values()].filter((node) => kernelGain(costContext, node) < 0)) {
    const without = planWithout(new Set([...excluded, planned.node]));
    if (gain(costContext, without, [...without.nodes.values()]) <= gain(costContext, best, [...best.nodes.values()]))
      continue;
    best = without;
    excluded.add(planned.node);
  }
  const losing = [...connectedParts(best).values()].filter((part) => gain(costContext, best, part) < 0).flat();
  return losing.length === 0 ? best : planWithout(new Set([...excluded, ...losing.map(({ node }) => node)]));
}

/** ns that these nodes of a plan gain, including their conversions. */
function gain(costContext: CostContext, plan: StaticPlan, part: readonly PlannedNode[]): number {
  return (
    part.reduce((sum, planned) => sum + kernelGain(costContext, planned), 0) - conversionLoss(costContext, plan, part)
  );
}

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
  for (const { node, output, activations } of plan.nodes.values())
    for (const i of activations) if (inner.has(inputName(node, i))) parent.set(find(inputName(node, i)), find(output));
  const parts = new Map<string, PlannedNode[]>();
  for (const planned of plan.nodes.values()) {
    const root = find(planned.output);
    parts.set(root, [...(parts.get(root) ?? []), planned]);
  }
  return parts;
}

const innerValues = (plan: StaticPlan) =>
  new Set([...plan.nodes.values()].filter(({ quantizesOutput }) => quantizesOutput).map(({ output }) => output));

/** ns; negative where the kernel alone is slower. */
function kernelGain({ graph, sizeOf, costs }: CostContext, { node, kernel, output }: PlannedNode): number {
  if (kernel === null) return 0;
  return costs.gainNs(
    node,
    layerOf(
      node,
      entryOf(graph.initializers, inputName(node, kernel), 'kernel').dims,
      sizeOf(inputName(node)),
      sizeOf(output),
    ),
  );
}

/** ns for the values that the part reads from float operators and passes to them. */
function conversionLoss({ graph, sizeOf, costs }: CostContext, plan: StaticPlan, part: readonly PlannedNode[]): number {
  const inner = innerValues(plan);
  const outer = new Set(
    part.flatMap(({ node, activations }) =>
      activations.map((i) => inputName(node, i)).filter((name) => !inner.has(name)),
    ),
  );
  const floatReads = new Set(graph.outputs.map(({ name }) => name));
  for (const node of graph.nodes) {
    const planned = plan.nodes.get(node);
    if (!plan.removed.has(node))
      node.inputs.forEach((name, i) => {
        if (!planned?.activations.includes(i)) floatReads.add(name);
      });
  }
  const given = part
    .filter(({ output, quantizesOutput }) => quantizesOutput && floatReads.has(output))
    .map(({ output }) => output);
  const index = indexGraph(graph);
  const slowPool = (name: string): boolean => {
    const pool = floatPoolBefore(name, plan, index);
    return pool !== null && clampBefore(pool, index) === null;
  };
  const lost = (names: readonly string[], perElement: number) =>
    names.reduce((sum, name) => sum + sizeOf(name), 0) * perElement;
  return lost([...outer, ...given], costs.conversionNs) + lost([...outer].filter(slowPool), costs.poolNs);
}
