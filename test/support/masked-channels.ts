/**
 * A reference for removed channels: the whole model with every weight at them set to zero, which computes the same
 * where nothing is normalized over channels.
 */
import type { ChannelMap } from '../../src/compression/graph/channels/couple.ts';
import { removeChannels, type RemovedChannels } from '../../src/compression/graph/channels/remove.ts';
import { removableChannels, type RemovableChannels } from '../../src/compression/graph/channels/removable.ts';
import { RemainingUnits } from '../../src/compression/graph/channels/remaining-units.ts';
import { elementCount, fromHost, toHost } from '../../src/compression/ir/tensor-data.ts';
import type { Model, Node, Tensor } from '../../src/compression/ir/types.ts';

export interface HalvedChannels extends RemovedChannels, RemovableChannels {
  readonly gone: ReadonlySet<number>;
}

/** Every second channel of each group removed. */
export function halveChannels(model: Model): HalvedChannels {
  const channels = removableChannels(model);
  const remaining = new RemainingUnits(channels.map);
  for (const { units } of channels.groups)
    units.forEach((unit, i) => {
      if (i % 2 === 1) remaining.remove(unit);
    });
  return { ...channels, ...removeChannels(model, channels.map, remaining.gone), gone: remaining.gone };
}

/**
 * Zero along every axis of every weight matrix or kernel that a removed unit lies on; vectors (biases, scales,
 * statistics) stay.
 */
export function maskChannels(model: Model, map: ChannelMap, gone: ReadonlySet<number>): Model {
  const masked = new Map<string, Tensor>();
  for (const { tensor, units } of map.constants) {
    if (tensor.dims.length < 2) continue;
    const host = toHost(masked.get(tensor.name) ?? tensor);
    const data = Float32Array.from(host.data as Float32Array);
    units.forEach((axis, i) =>
      axis?.forEach((unit, index) => {
        if (gone.has(map.units.find(unit))) clear(data, tensor.dims, i, index);
      }),
    );
    masked.set(tensor.name, fromHost(tensor.name, { ...host, data }));
  }
  const inNode = (node: Node): Node => {
    const tensor = node.opType === 'Constant' ? masked.get(node.outputs[0]!) : undefined;
    return tensor
      ? { ...node, attributes: new Map([['value', { kind: 'tensor', value: { ...tensor, name: '' } }]]) }
      : node;
  };
  const initializers = new Map(
    [...model.graph.initializers].map(([name, tensor]): [string, Tensor] => [name, masked.get(name) ?? tensor]),
  );
  return { ...model, graph: { ...model.graph, initializers, nodes: model.graph.nodes.map(inNode) } };
}

function clear(data: Float32Array, dims: readonly number[], axis: number, index: number): void {
  const inner = elementCount(dims.slice(axis + 1));
  for (let at = index * inner; at < data.length; at += dims[axis]! * inner) data.fill(0, at, at + inner);
}
