/**
 * The order in which Keras lists the layers of a functional model, and by which it finds their arrays in a file:
 * `Functional` sorts them by their distance from the outputs, layers of one distance by when a walk from the outputs
 * comes to them first (`map_graph` in keras/src/ops/function.py,
 * `_map_graph_network` in Keras 2). The order in the file is not asked when it is loaded.
 */
import type { Call, ModelConfig, TensorRef } from '../../config.ts';

interface Visit {
  readonly key: string;
  readonly layer: string;
  readonly inputs: readonly TensorRef[];
}

const keyOf = ({ layer, node }: TensorRef): string => `${layer}/${node}`;

/** Tensors that a call takes, in the order of Keras: positional ones, then keywords by name. */
const tensorsOf = (call: Call | undefined): TensorRef[] =>
  call ? [...call.inputs, ...[...call.keywords].sort(([a], [z]) => (a < z ? -1 : 1)).flatMap(([, refs]) => refs)] : [];

/** Names of layers; those that no output needs are left out, unless they are inputs. */
export function layerOrder(model: ModelConfig): string[] {
  const { visits, found } = walk(model);
  const [depths, distances] = [new Map<string, number>(), new Map<string, number>()]; // of calls, of layers
  for (const { key, layer, inputs } of visits.reverse()) {
    const depth = Math.max(depths.get(key) ?? 0, distances.get(layer) ?? 0);
    depths.set(key, depth);
    distances.set(layer, depth);
    for (const input of inputs) depths.set(keyOf(input), Math.max(depth + 1, depths.get(keyOf(input)) ?? 0));
  }
  for (const { layer } of model.inputs) {
    if (distances.has(layer)) continue;
    distances.set(layer, 0);
    found.set(layer, -1);
  }
  return [...distances]
    .sort(([a, near], [z, far]) => far - near || found.get(a)! - found.get(z)!)
    .map(([layer]) => layer);
}

/**
 * Calls from inputs to outputs, and when each layer was first come to. Depth first without recursion: uploads may be
 * deep.
 */
function walk({ layers, outputs }: ModelConfig): { visits: Visit[]; found: Map<string, number> } {
  const calls = new Map(layers.map((layer) => [layer.name, layer.calls]));
  const [entered, found, visits] = [new Set<string>(), new Map<string, number>(), [] as Visit[]];
  const pending: (TensorRef | Visit)[] = [...outputs].reverse();
  for (let next = pending.pop(); next; next = pending.pop()) {
    if ('key' in next) {
      visits.push(next);
      continue;
    }
    const key = keyOf(next);
    if (entered.has(key)) continue;
    entered.add(key);
    if (!found.has(next.layer)) found.set(next.layer, found.size);
    const inputs = tensorsOf(calls.get(next.layer)?.[next.node]);
    pending.push({ key, layer: next.layer, inputs }, ...[...inputs].reverse());
  }
  return { visits, found };
}
