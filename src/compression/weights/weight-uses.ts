/** Where a graph uses its weights, and along which axis scales of their integers lie. */
import { subgraphs } from '../ir/edit.ts';
import type { Graph, Node, Tensor } from '../ir/types.ts';
import { weightAxes, type WeightAxes } from './weight-axes.ts';

export interface WeightUse {
  readonly node: Node;
  readonly axes: WeightAxes;
}

/** Initializers of this graph that are weights, by their uses in it and in subgraphs. */
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

/** The axes that all uses agree on. */
export function commonAxes(uses: readonly WeightUse[], rank: number): WeightAxes {
  const agreed = (key: keyof WeightAxes) =>
    uses.every(({ axes }) => axes[key] === uses[0]!.axes[key]) ? uses[0]!.axes[key] : null;
  return rank < 2 ? { channel: null, sum: rank === 1 ? 0 : null } : { channel: agreed('channel'), sum: agreed('sum') };
}

/** The channel axis of every initializer that is a weight, subgraphs included. null: one scale is for all. */
export function channelAxes(graph: Graph): ReadonlyMap<Tensor, number | null> {
  const own = [...weightUses(graph)].map(([name, uses]): [Tensor, number | null] => {
    const tensor = graph.initializers.get(name)!;
    return [tensor, commonAxes(uses, tensor.dims.length).channel];
  });
  const inner = graph.nodes.flatMap((node) => subgraphs(node).flatMap(({ graph: body }) => [...channelAxes(body)]));
  return new Map([...own, ...inner]);
}
