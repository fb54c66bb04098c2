/** Where a graph uses its weights, and the axis of their scales as integers. */
import { entryOf } from '../ir/checked-access.ts';
import { subgraphs } from '../ir/edit.ts';
import type { Graph, Node, Tensor } from '../ir/types.ts';
import { weightAxes, type WeightAxes } from './weight-axes.ts';

export interface WeightUse {
  readonly node: Node;
  readonly axes: WeightAxes;
}

/** This graph's weights among the initializers, with their uses in it and in subgraphs. */
export function weightUses(graph: Graph): Map<string, WeightUse[]> {
  const found = new Map<string, WeightUse[]>();
  const visit = (nodes: readonly Node[], hidden: ReadonlySet<string>): void => {
    for (const node of nodes) {
      node.inputs.forEach((name, input) => {
        const tensor = hidden.has(name) ? undefined : graph.initializers.get(name);
        const axes = tensor && weightAxes(node, input, tensor.dims.length);
        if (axes) found.set(name, [...(found.get(name) ?? []), { node, axes }]);
      });
      for (const { graph: body } of subgraphs(node))
        visit(body.nodes, new Set([...hidden, ...body.initializers.keys()]));
    }
  };
  visit(graph.nodes, new Set());
  return found;
}

/** The axis that all uses agree on, else null. */
export function commonAxes(uses: readonly WeightUse[], rank: number): WeightAxes {
  const agreed = (key: keyof WeightAxes): number | null => {
    const [axis = null, ...others] = new Set(uses.map(({ axes }) => axes[key]));
    return others.length === 0 ? axis : null;
  };
  return rank < 2 ? { channel: null, sum: rank === 1 ? 0 : null } : { channel: agreed('channel'), sum: agreed('sum') };
}

/** The channel axis of every weight among the initializers, subgraphs included; null for a single scale. */
export function channelAxes(graph: Graph): ReadonlyMap<Tensor, number | null> {
  const own = [...weightUses(graph)].map(([name, uses]): [Tensor, number | null] => {
    const tensor = entryOf(graph.initializers, name, 'weight');
    return [tensor, commonAxes(uses, tensor.dims.length).channel];
  });
  const inner = graph.nodes.flatMap((node) => subgraphs(node).flatMap(({ graph: body }) => [...channelAxes(body)]));
  return new Map([...own, ...inner]);
}
