/** Writes a new ONNX graph node by node, for the importers of other formats. */
import { type Tuple, tupleOf } from '../ir/checked-access.ts';
import { makeNode, removeUnusedInitializers, type AttributeValue } from '../ir/edit.ts';
import { settingsMetadata } from '../ir/settings.ts';
import { fromHost, hostOf } from '../ir/tensor-data.ts';
import type { DataType, Dim, Graph, Model, Node, Tensor, ValueInfo } from '../ir/types.ts';

/**
 * The opset that importers write: old enough for every runtime of the last years, new enough for Gelu and
 * GroupNormalization.
 */
export const BUILDER_OPSET = 21;

export class GraphBuilder {
  readonly #nodes: Node[] = [];
  readonly #initializers = new Map<string, Tensor>();
  readonly #inputs: ValueInfo[] = [];
  readonly #outputs: ValueInfo[] = [];
  readonly #used = new Set<string>();
  readonly #reserved = new Set<string>();
  readonly #constants = new Map<string, string>();
  readonly #settings = new Set<string>();
  readonly #layers = new Map<string, Map<string, string>>();
  /** Weights of the layer that is being written, by base name and occurrence. */
  #layer: { readonly known: Map<string, string>; readonly seen: Map<string, number> } | null = null;
  /** The builder that owns a body's names and weights; the builder itself at the top. */
  readonly #root: GraphBuilder;

  constructor(root?: GraphBuilder) {
    this.#root = root ?? this;
  }

  /** `base`, made unique among the graph's names. */
  fresh(base: string): string {
    if (this.#root !== this) return this.#root.fresh(base);
    let name = base;
    for (let i = 1; this.#used.has(name); i++) name = `${base}_${i}`;
    this.#used.add(name);
    return name;
  }

  /** Reserves names for outputs of the graph. */
  reserve(names: readonly string[]): void {
    for (const name of names) this.#reserved.add(this.fresh(name));
  }

  /** Adds a node with one output and returns the output's name. */
  op(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    name = opType,
  ): string {
    return this.ops(opType, inputs, 1, attributes, name)[0];
  }

  /** As `op`, with `outputCount` outputs. */
  ops<N extends number>(
    opType: string,
    inputs: readonly string[],
    outputCount: N,
    attributes: Readonly<Record<string, AttributeValue>> = {},
    name = opType,
  ): Tuple<string, N> {
    const outputs = Array.from({ length: outputCount }, (_, i) =>
      this.fresh(outputCount === 1 ? name : `${name}_${i}`),
    );
    this.#nodes.push(makeNode(opType, inputs, outputs, attributes, { name: outputs[0] ?? name }));
    return tupleOf(outputs, outputCount, `${opType} "${name}"`);
  }

  /**
   * Writes one call of the layer `key`. A layer that is called again takes the weights that its first call made, so
   * that they stay one weight in training.
   */
  layer<T>(key: string, write: () => T): T {
    const outer = this.#layer;
    const known = this.#layers.get(key) ?? new Map<string, string>();
    this.#layers.set(key, known);
    this.#layer = { known, seen: new Map() };
    try {
      return write();
    } finally {
      this.#layer = outer;
    }
  }

  /** Adds a weight; `values` in row-major order. */
  weight(name: string, dims: readonly number[], values: ArrayLike<number>, dtype: DataType = 'float32'): string {
    if (this.#root !== this) return this.#root.weight(name, dims, values, dtype);
    const layer = this.#layer;
    const use = layer && this.#occurrence(name, layer.seen);
    const known = use ? this.#initializers.get(layer?.known.get(use) ?? '') : undefined;
    if (known?.dtype === dtype && known.dims.join() === dims.join()) return known.name;
    const made = this.#initializer(name, dims, values, dtype);
    if (layer && use) layer.known.set(use, made);
    return made;
  }

  /** Adds a constant that is no weight: training does not change it (ir/settings.ts). */
  setting(name: string, dims: readonly number[], values: ArrayLike<number>): string {
    if (this.#root !== this) return this.#root.setting(name, dims, values);
    const made = this.weight(name, dims, values);
    this.#settings.add(made);
    return made;
  }

  #occurrence(name: string, seen: Map<string, number>): string {
    const count = seen.get(name) ?? 0;
    seen.set(name, count + 1);
    return `${name}#${count}`;
  }

  #initializer(name: string, dims: readonly number[], values: ArrayLike<number>, dtype: DataType): string {
    const unique = this.fresh(name);
    this.#initializers.set(unique, fromHost(unique, hostOf(dtype, dims, values)));
    return unique;
  }

  /** A 1-D int64 constant; equal ones are shared. */
  ints(values: readonly number[]): string {
    return this.#shared(`ints_${values.join('_')}`, () => [[values.length], values, 'int64']);
  }

  /** A scalar constant; equal ones are shared. */
  scalar(value: number, dtype: DataType = 'float32'): string {
    return this.#shared(`${dtype}_${value}`, () => [[], [value], dtype]);
  }

  #shared(key: string, make: () => [readonly number[], readonly number[], DataType]): string {
    if (this.#root !== this) return this.#root.#shared(key, make);
    let name = this.#constants.get(key);
    if (name === undefined) {
      name = this.#initializer(`const_${key}`, ...make());
      this.#constants.set(key, name);
    }
    return name;
  }

  input(name: string, dtype: DataType, shape: readonly Dim[]): string {
    const unique = this.fresh(name);
    this.#inputs.push({ name: unique, type: { dtype, shape } });
    return unique;
  }

  /** Names `value` as an output of the graph. */
  output(name: string, value: string, dtype: DataType, shape: readonly Dim[] | null): void {
    const unique = this.#reserved.delete(name) ? name : this.fresh(name);
    this.#nodes.push(makeNode('Identity', [value], [unique], {}, { name: unique }));
    this.#outputs.push({ name: unique, type: { dtype, shape } });
  }

  /**
   * The body of a Scan: `build` declares inputs and outputs of the builder it is given. Its weights lie in the outer
   * graph, which bodies see.
   */
  body(name: string, build: (inner: GraphBuilder) => void): Graph {
    const inner = new GraphBuilder(this.#root);
    build(inner);
    return {
      name: this.fresh(name),
      nodes: inner.#nodes,
      initializers: new Map(),
      inputs: inner.#inputs,
      outputs: inner.#outputs,
      valueInfos: [],
    };
  }

  /** The model so far, without the constants that nothing reads. */
  build(name: string, producer: string): Model {
    const graph = removeUnusedInitializers({
      name,
      nodes: this.#nodes,
      initializers: this.#initializers,
      inputs: this.#inputs,
      outputs: this.#outputs,
      valueInfos: [],
    });
    return {
      irVersion: 10,
      opsets: new Map([['', BUILDER_OPSET]]),
      graph,
      functions: [],
      metadata: settingsMetadata([...this.#settings].filter((setting) => graph.initializers.has(setting))),
      producerName: producer,
    };
  }
}
