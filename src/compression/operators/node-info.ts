/** `NodeInfo` of a node, over whatever knows types, constants and partly known shape values: shape inference, the network, the runner. */
import { GraphError } from '../graph/graph-error.ts';
import type { Attribute, Dim, Graph, Node, TensorType } from '../graph/types.ts';
import type { HostTensor, Inferred, NodeInfo } from './operator.ts';

export interface NodeSurroundings {
  type(name: string): TensorType | null;
  constant(name: string): HostTensor | null;
  partial?(name: string): readonly Dim[] | null;
  inferSubgraph?(graph: Graph, inputs: ReadonlyMap<string, TensorType>): Inferred[];
}

/** What an operator may ask about `node`, answered from its surroundings. */
export class NodeView implements NodeInfo {
  readonly node: Node;
  readonly opset: number;
  readonly #surroundings: NodeSurroundings;
  #types: readonly (TensorType | null)[] | undefined;

  constructor(node: Node, opset: number, surroundings: NodeSurroundings) {
    this.node = node;
    this.opset = opset;
    this.#surroundings = surroundings;
  }

  get types(): readonly (TensorType | null)[] {
    return (this.#types ??= this.node.inputs.map((name) => (name === '' ? null : this.#surroundings.type(name))));
  }
  constant(index: number): HostTensor | null {
    const name = this.node.inputs[index];
    return name ? this.#surroundings.constant(name) : null;
  }
  partial(index: number): readonly Dim[] | null {
    const name = this.node.inputs[index];
    return name ? (this.#surroundings.partial?.(name) ?? null) : null;
  }
  inferSubgraph(graph: Graph, inputs: ReadonlyMap<string, TensorType>): Inferred[] {
    return this.#surroundings.inferSubgraph?.(graph, inputs) ?? graph.outputs.map(({ type }) => type ?? { dtype: 'undefined', shape: null });
  }

  attribute(name: string): Attribute | undefined {
    return this.node.attributes.get(name);
  }
  int(name: string, fallback: number): number {
    return this.#read(name, 'int') ?? fallback;
  }
  float(name: string, fallback: number): number {
    return this.#read(name, 'float') ?? fallback;
  }
  string(name: string, fallback: string): string {
    return this.#read(name, 'string') ?? fallback;
  }
  ints(name: string): readonly number[] | undefined {
    return this.#read(name, 'ints');
  }
  floats(name: string): readonly number[] | undefined {
    return this.#read(name, 'floats');
  }

  #read<K extends Attribute['kind']>(name: string, kind: K): Extract<Attribute, { kind: K }>['value'] | undefined {
    const attribute = this.node.attributes.get(name);
    if (attribute === undefined) return undefined;
    if (attribute.kind === kind) return attribute.value as Extract<Attribute, { kind: K }>['value'];
    // An empty list carries no type of its own in some writers' files.
    if ((kind === 'ints' || kind === 'floats') && Array.isArray(attribute.value) && attribute.value.length === 0) return [] as never;
    throw new GraphError(`attribute "${name}" must be of kind ${kind}, it is of kind ${attribute.kind}`);
  }
}
