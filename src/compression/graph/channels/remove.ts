/** Removes units from a graph: every constant, attribute and declared shape along them shrinks. */
import type { Shrinking, Shrunk, ValueUnits } from '../../operators/channels/rule.ts';
import { elementAt, outputName } from '../../ir/checked-access.ts';
import { freshNames, indexGraph, removeDeadNodes, removeUnusedInitializers, topologicalOrder } from '../../ir/edit.ts';
import { printable } from '../../ir/graph-error.ts';
import { inferShapes } from '../infer.ts';
import { BITS, elementCount, fromHost } from '../../ir/tensor-data.ts';
import type { Attribute, Graph, Model, Node, Tensor, ValueInfo } from '../../ir/types.ts';
import type { ChannelMap, ConstantUse } from './couple.ts';
import type { AxisUnits } from '../../operators/channels/units.ts';

/** Indices that stay, by axis; null: all. */
export type KeptIndices = readonly (readonly number[] | null)[];

export interface RemovedChannels {
  readonly model: Model;
  /** What is left of each constant that shrank in place, by name. */
  readonly kept: ReadonlyMap<string, KeptIndices>;
}

/**
 * Removes the units whose representatives are in `gone`. They must not be frozen; every axis must keep at least one.
 * @throws ChannelMismatch where the smaller graph's shapes contradict the labels; LatheError as `inferShapes`
 */
export function removeChannels(model: Model, map: ChannelMap, gone: ReadonlySet<number>): RemovedChannels {
  if (gone.size === 0) return { model, kept: new Map() };
  const removal = new Removal(model, map, gone);
  return removal.run();
}

/** Composes two removals: the kept indices of the first model after `before`, then `now`. */
export function composeKept(
  before: ReadonlyMap<string, KeptIndices>,
  now: ReadonlyMap<string, KeptIndices>,
): Map<string, KeptIndices> {
  const all = new Map(before);
  for (const [name, axes] of now) {
    const known = before.get(name);
    all.set(
      name,
      axes.map((indices, axis) => {
        const earlier = known?.[axis] ?? null;
        return indices && earlier
          ? indices.map((index) => elementAt(earlier, index, 'kept index'))
          : (indices ?? earlier);
      }),
    );
  }
  return all;
}

class Removal {
  private readonly model: Model;
  private readonly map: ChannelMap;
  private readonly gone: ReadonlySet<number>;
  private readonly name: (base: string) => string;
  private readonly added: Tensor[] = [];
  /** Nodes to insert before the current one. */
  private readonly before: Node[] = [];
  private readonly replaced = new Map<string, Tensor>();
  private readonly kept = new Map<string, KeptIndices>();
  private readonly uses = new Map<Node, ConstantUse[]>();
  private readonly copies = new Map<string, string>();
  private readonly cache = new Map<Int32Array, readonly number[]>();

  constructor(model: Model, map: ChannelMap, gone: ReadonlySet<number>) {
    [this.model, this.map, this.gone] = [model, map, gone];
    this.name = freshNames(model);
    for (const use of map.constants) this.uses.set(use.node, [...(this.uses.get(use.node) ?? []), use]);
  }

  run(): RemovedChannels {
    const { graph } = this.model;
    this.shrinkInPlace();
    const nodes = graph.nodes.flatMap((node) => {
      const shrunk = this.shrinkNode(this.constantNode(node));
      return [...this.before.splice(0), shrunk];
    });
    const initializers = new Map(
      [...graph.initializers].map(([name, tensor]): [string, Tensor] => [name, this.replaced.get(name) ?? tensor]),
    );
    for (const tensor of this.added) initializers.set(tensor.name, tensor);
    const smaller: Graph = {
      ...graph,
      nodes,
      initializers,
      inputs: graph.inputs.map((info) => this.declared(info)),
      valueInfos: graph.valueInfos.map((info) => this.declared(info)),
    };
    const model = { ...this.model, graph: removeUnusedInitializers(removeDeadNodes(smaller)) };
    this.verify(model);
    return { model, kept: this.kept };
  }

  /** Constants whose readers all need the same part keep their name. */
  private shrinkInPlace(): void {
    const byName = new Map<string, ConstantUse[]>();
    for (const use of this.map.constants) byName.set(use.tensor.name, [...(byName.get(use.tensor.name) ?? []), use]);
    const { consumers, outputs } = indexGraph(this.model.graph);
    for (const [name, uses] of byName) {
      const parts = new Set(uses.map((use) => JSON.stringify(this.keptOf(use.units))));
      const first = elementAt(uses, 0, 'use');
      const kept = this.keptOf(first.units);
      // Reads by subgraphs and by operators without a rule are not among the uses: such a constant stays whole.
      const hasOtherReaders = uses.length !== consumers.get(name)?.length || outputs.has(name);
      if (parts.size > 1 || hasOtherReaders || kept.every((axis) => axis === null)) continue;
      this.replaced.set(name, cutTensor(first.tensor, kept));
      this.kept.set(name, kept);
    }
  }

  private constantNode(node: Node): Node {
    const tensor = node.opType === 'Constant' ? this.replaced.get(node.outputs[0] ?? '') : undefined;
    return tensor
      ? { ...node, attributes: new Map([['value', { kind: 'tensor', value: { ...tensor, name: '' } }]]) }
      : node;
  }

  private shrinkNode(node: Node): Node {
    const rule = this.map.types.operator(node)?.channels;
    const inputs = [...node.inputs];
    for (const use of this.uses.get(node) ?? []) inputs[use.input] = this.readName(use);
    const shrunk = rule?.shrink?.(this.shrinking(node)) ?? {};
    const same = inputs.every((name, i) => name === node.inputs[i]);
    return shrunk.attributes || shrunk.constants || shrunk.computed
      ? this.rewritten(node, inputs, shrunk)
      : same
        ? node
        : { ...node, inputs };
  }

  /** The name of the part that this node reads. */
  private readName({ tensor, units }: ConstantUse): string {
    const kept = this.keptOf(units);
    if (this.replaced.has(tensor.name) || kept.every((axis) => axis === null)) return tensor.name;
    const key = JSON.stringify([tensor.name, kept]);
    const known = this.copies.get(key);
    if (known) return known;
    const name = this.name(tensor.name);
    this.copies.set(key, name);
    this.added.push({ ...cutTensor(tensor, kept), name });
    return name;
  }

  private rewritten(
    node: Node,
    inputs: string[],
    { attributes = {}, constants = new Map(), computed = new Map() }: Shrunk,
  ): Node {
    for (const [input, value] of computed) {
      this.before.push(value.node);
      inputs[input] = outputName(value.node);
      for (const [name, constant] of value.constants) this.added.push(fromHost(name, constant));
    }
    for (const [input, value] of constants) {
      const name = this.name(
        `${node.outputs.find((output) => output !== '') ?? node.name}_${node.opType.toLowerCase()}_${input}`,
      );
      while (inputs.length <= input) inputs.push('');
      inputs[input] = name;
      this.added.push(fromHost(name, value));
    }
    const changed = new Map<string, Attribute>(node.attributes);
    for (const [name, value] of Object.entries(attributes)) {
      if (value) changed.set(name, value);
      else changed.delete(name);
    }
    return { ...node, inputs, attributes: changed };
  }

  private shrinking(node: Node): Shrinking {
    return {
      info: this.map.types.info(node),
      input: (index) => this.map.unitsOf(node, index),
      output: (index) => this.map.values.get(node.outputs[index] ?? '') ?? [],
      outputType: (index) => this.map.types.typeOf(node.outputs[index] ?? ''),
      name: this.name,
      kept: (axis) => [...this.keptAlong(axis)],
      size: (axis) => this.keptAlong(axis).length,
      shrinks: (axis): axis is Int32Array => axis != null && this.keptAlong(axis).length < axis.length,
    };
  }

  private keptAlong(axis: Int32Array): readonly number[] {
    const known = this.cache.get(axis);
    if (known) return known;
    const kept: number[] = [];
    axis.forEach((unit, i) => {
      if (!this.gone.has(this.map.units.find(unit))) kept.push(i);
    });
    this.cache.set(axis, kept);
    return kept;
  }

  private keptOf(units: ValueUnits): KeptIndices {
    return units.map((axis) => (axis && this.keptAlong(axis).length < axis.length ? this.keptAlong(axis) : null));
  }

  private declared(info: ValueInfo): ValueInfo {
    const units = this.map.values.get(info.name);
    const tensor = this.replaced.get(info.name);
    if (tensor && info.type) return { ...info, type: { ...info.type, shape: tensor.dims } };
    if (!units || !info.type?.shape || this.keptOf(units).every((axis) => axis === null)) return info;
    return {
      ...info,
      type: { ...info.type, shape: info.type.shape.map((dim, i) => this.sizeAlong(units[i] ?? null) ?? dim) },
    };
  }

  private sizeAlong(axis: AxisUnits): number | null {
    return axis && this.keptAlong(axis).length;
  }

  /** Checks that inference on the smaller graph agrees with the labels. */
  private verify(model: Model): void {
    const types = inferShapes(model);
    for (const node of topologicalOrder(model.graph)) {
      for (const name of node.outputs) {
        const units = this.map.values.get(name);
        if (!units || this.keptOf(units).every((axis) => axis === null)) continue;
        const shape = types.typeOf(name)?.shape;
        units.forEach((axis, i) => {
          const expected = this.sizeAlong(axis);
          if (axis && expected !== null && shape?.[i] !== expected)
            throw new ChannelMismatch(
              axis,
              `axis ${i} of "${printable(name)}" should be ${expected}, its shape is ` +
                `[${shape?.join(', ') ?? 'unknown'}]`,
            );
        });
      }
    }
  }
}

/** The labels of an axis contradict the smaller graph. */
export class ChannelMismatch extends Error {
  readonly labels: Int32Array;

  constructor(labels: Int32Array, message: string) {
    super(message);
    this.labels = labels;
  }
}

/** The kept part of a tensor. */
export function cutTensor(tensor: Tensor, kept: KeptIndices): Tensor {
  const size = BITS[tensor.dtype] / 8;
  const dims = tensor.dims.map((dim, i) => kept[i]?.length ?? dim);
  let { bytes } = tensor;
  let before = [...tensor.dims];
  kept.forEach((indices, axis) => {
    if (!indices) return;
    bytes = cutAxis({ bytes, dims: before, elementBytes: size }, axis, indices);
    before = before.map((dim, i) => (i === axis ? indices.length : dim));
  });
  const { rest: _positions, ...plain } = tensor;
  return { ...plain, dims, bytes };
}

/** Copies the row-major blocks behind the axis. */
function cutAxis(
  { bytes, dims, elementBytes }: { bytes: Uint8Array; dims: readonly number[]; elementBytes: number },
  axis: number,
  indices: readonly number[],
): Uint8Array {
  const length = elementAt(dims, axis, 'axis');
  const block = elementCount(dims.slice(axis + 1)) * elementBytes;
  const rows = elementCount(dims.slice(0, axis));
  const result = new Uint8Array(rows * indices.length * block);
  for (let row = 0; row < rows; row++) {
    indices.forEach((index, i) => {
      const from = (row * length + index) * block;
      result.set(bytes.subarray(from, from + block), (row * indices.length + i) * block);
    });
  }
  return result;
}
