/** What an operator may ask about one node: its attributes with defaults, the types and known values of its inputs. */
import type { HostTensor } from './host-tensor.ts';
import { GraphError } from './graph-error.ts';
import type { Attribute, Dim, Graph, Node, TensorType } from './types.ts';

/** What shape inference and the layout pass may ask about a node. */
export interface NodeInfo {
  readonly node: Node;
  /** Version of the node's domain in the model's opset imports. */
  readonly opset: number;
  /** Types of the inputs; `null` for an omitted or unknown one. */
  readonly types: readonly (TensorType | null)[];
  /** The input's value where it is known before running (initializers, constants, folded shape arithmetic). */
  constant(index: number): HostTensor | null;
  /** Shape inference may know elements of a shape tensor partly: per element a number, symbol or null. */
  partial(index: number): readonly Dim[] | null;
  int(name: string, fallback: number): number;
  float(name: string, fallback: number): number;
  string(name: string, fallback: string): string;
  ints(name: string): readonly number[] | undefined;
  floats(name: string): readonly number[] | undefined;
  attribute(name: string): Attribute | undefined;
  /**
   * Types of a subgraph's outputs when its inputs have these types (shape inference of If, Loop, Scan); null where
   * unknown.
   */
  subgraphTypes?(graph: Graph, inputs: readonly (TensorType | null)[]): (TensorType | null)[];
}

/** Types of the outputs; where an output is a shape-like integer tensor, also what is known of its elements. */
export interface Inferred extends TensorType {
  readonly elements?: readonly Dim[];
}

type ValueOf<K extends Attribute['kind']> = { readonly [A in Attribute as A['kind']]: A['value'] }[K];

/** Where a node's inputs are looked up. */
export interface InputFacts {
  typeOf(name: string): TensorType | null;
  constantOf(name: string): HostTensor | null;
  elementsOf(name: string): readonly Dim[] | null;
}

export class NodeView implements NodeInfo {
  readonly node: Node;
  readonly opset: number;
  readonly types: readonly (TensorType | null)[];
  readonly subgraphTypes?: (graph: Graph, inputs: readonly (TensorType | null)[]) => (TensorType | null)[];
  private readonly facts: InputFacts;

  constructor(node: Node, opset: number, facts: InputFacts, subgraphTypes?: NodeInfo['subgraphTypes']) {
    this.node = node;
    this.opset = opset;
    this.facts = facts;
    this.types = node.inputs.map((name) => (name === '' ? null : facts.typeOf(name)));
    if (subgraphTypes) this.subgraphTypes = subgraphTypes;
  }

  constant(index: number): HostTensor | null {
    const name = this.node.inputs[index];
    return name ? this.facts.constantOf(name) : null;
  }

  partial(index: number): readonly Dim[] | null {
    const name = this.node.inputs[index];
    return name ? this.facts.elementsOf(name) : null;
  }

  attribute(name: string): Attribute | undefined {
    return this.node.attributes.get(name);
  }

  int(name: string, fallback: number): number {
    return this.valueOf(name, 'int') ?? fallback;
  }

  float(name: string, fallback: number): number {
    return this.valueOf(name, 'float') ?? fallback;
  }

  string(name: string, fallback: string): string {
    return this.valueOf(name, 'string') ?? fallback;
  }

  ints(name: string): readonly number[] | undefined {
    return this.valueOf(name, 'ints');
  }

  floats(name: string): readonly number[] | undefined {
    return this.valueOf(name, 'floats');
  }

  private valueOf<K extends Attribute['kind']>(name: string, kind: K): ValueOf<K> | undefined {
    const attribute = this.node.attributes.get(name);
    if (attribute === undefined) return undefined;
    if (attribute.kind !== kind)
      throw new GraphError(`attribute "${name}" holds ${attribute.kind} where ${kind} is expected`);
    return attribute.value as ValueOf<K>;
  }
}
