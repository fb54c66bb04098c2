/**
 * Shape inference: element type, shape and, for shape arithmetic, the elements of every value of a model, with open
 * dimensions. Each operator infers its own outputs (`Operator.infer`); this module walks the graph, keeps the scopes of
 * subgraphs and merges in what the file declares.
 */
import { LatheError } from '../../errors.ts';
import { findOperator } from '../operators/registry.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator } from '../operators/operator.ts';
import { checkElementTypes } from '../ir/check-schema.ts';
import { constantTensor } from '../ir/constants.ts';
import { topologicalOrder } from '../ir/edit.ts';
import { GraphError, located, printable } from '../ir/graph-error.ts';
import { NodeView } from '../ir/node-info.ts';
import { elementCount, hostNumbers, hostOf, toHost } from '../ir/tensor-data.ts';
import type { Dim, Graph, Model, Node, Tensor, TensorType } from '../ir/types.ts';

export interface InferOptions {
  /** Sizes for symbolic dimensions, by name. */
  readonly bindings?: ReadonlyMap<string, number> | Readonly<Record<string, number>>;
  /** Shapes for graph inputs, over the declared ones. */
  readonly inputShapes?: ReadonlyMap<string, readonly Dim[]>;
}

/** What is known of a graph's values. Names of enclosing scopes are found too. */
export interface TypeTable {
  typeOf(name: string): TensorType | null;
  /** The value where it does not depend on the model's inputs (computed only up to `MAX_FOLDED` elements). */
  constantOf(name: string): HostTensor | null;
  /** Elements of an integer tensor of rank 0 or 1 as far as they are known. */
  elementsOf(name: string): readonly Dim[] | null;
  /** The view of a node of this graph that its operator gets. */
  info(node: Node): NodeInfo;
  /** Implementation of the node's operator at the model's opset; undefined where there is none. */
  operator(node: Node): Operator | undefined;
  /** The table of a subgraph of this graph; undefined where the owner's operator is unknown. */
  subgraph(graph: Graph): TypeTable | undefined;
  /** Places where the declared shape differs from the inferred one, which is used. */
  readonly contradictions: readonly string[];
}

/** Constants up to this size are computed during inference; larger ones are left to the constant-folding pass. */
export const MAX_FOLDED = 65_536;

/**
 * Infers types and shapes throughout the model.
 * @throws LatheError `malformed-model` with the node, where inputs contradict the operator or the graph has a cycle.
 */
export function inferShapes(model: Model, options: InferOptions = {}): TypeTable {
  const bindings = options.bindings instanceof Map ? options.bindings : new Map(Object.entries(options.bindings ?? {}));
  const shared: Shared = { opsets: model.opsets, bindings, contradictions: [], visits: MAX_VISITS };
  const scope = new Scope(model.graph, shared, null);
  for (const input of model.graph.inputs) {
    const given = options.inputShapes?.get(input.name);
    scope.setInput(input.name, input.type && given ? { dtype: input.type.dtype, shape: given } : input.type);
  }
  scope.walk();
  return scope;
}

/** Opset version of a node's domain; 1 where the file uses a domain without importing it. */
export function opsetOf(opsets: ReadonlyMap<string, number>, node: Node): number {
  return opsets.get(node.domain) ?? 1;
}

interface Shared {
  readonly opsets: ReadonlyMap<string, number>;
  readonly bindings: ReadonlyMap<string, number>;
  readonly contradictions: string[];
  /** Nodes of subgraphs still allowed: a loop's body is inferred twice, and bodies nest. */
  visits: number;
}

/** A body of 1,000 nodes costs 2,000. */
const MAX_VISITS = 500_000;

class Scope implements TypeTable {
  readonly contradictions: readonly string[];
  private readonly types = new Map<string, TensorType | null>();
  private readonly constants = new Map<string, HostTensor>();
  private readonly tensors = new Map<string, Tensor>();
  private readonly elements = new Map<string, readonly Dim[]>();
  private readonly declared = new Map<string, TensorType>();
  private readonly inner = new Map<Graph, Scope>();
  private readonly graph: Graph;
  private readonly shared: Shared;
  private readonly outer: Scope | null;

  constructor(graph: Graph, shared: Shared, outer: Scope | null) {
    this.graph = graph;
    this.shared = shared;
    this.outer = outer;
    this.contradictions = shared.contradictions;
    for (const { name, type } of [...graph.valueInfos, ...graph.outputs])
      if (type) this.declared.set(name, this.bound(type));
  }

  /** Names each open dimension of an input, so that equal sizes are recognised downstream. */
  setInput(name: string, type: TensorType | null): void {
    const bound = type && this.bound(type);
    const shape = bound?.shape?.map((dim, axis) => dim ?? `?${name}:${axis}`) ?? null;
    this.types.set(name, bound && { dtype: bound.dtype, shape });
  }

  walk(): void {
    for (const tensor of this.graph.initializers.values()) this.setTensor(tensor);
    for (const node of topologicalOrder(this.graph)) {
      const constant = constantTensor(node);
      if (constant) this.setTensor(constant);
      else this.visit(node);
    }
  }

  typeOf(name: string): TensorType | null {
    const own = this.types.get(name);
    return own === undefined ? (this.outer?.typeOf(name) ?? null) : own;
  }

  constantOf(name: string): HostTensor | null {
    const known = this.constants.get(name);
    if (known) return known;
    const tensor = this.tensors.get(name);
    if (!tensor) return this.types.has(name) ? null : (this.outer?.constantOf(name) ?? null);
    const host = readable(tensor);
    if (host && elementCount(tensor.dims) <= MAX_FOLDED) this.constants.set(name, host);
    return host;
  }

  elementsOf(name: string): readonly Dim[] | null {
    const known = this.elements.get(name);
    if (known) return known;
    if (!this.types.has(name)) return this.outer?.elementsOf(name) ?? null;
    const type = this.types.get(name);
    if (!type || !isShapeLike(type)) return null;
    const constant = this.constantOf(name);
    if (constant) return this.remember(name, hostNumbers(constant));
    return null;
  }

  info(node: Node): NodeInfo {
    return new NodeView(node, opsetOf(this.shared.opsets, node), this, (graph, inputs) =>
      this.inferInner(graph, inputs),
    );
  }

  operator(node: Node): Operator | undefined {
    return findOperator(node.domain, node.opType, opsetOf(this.shared.opsets, node));
  }

  subgraph(graph: Graph): TypeTable | undefined {
    return this.inner.get(graph);
  }

  private visit(node: Node): void {
    const operator = this.operator(node);
    const info = this.info(node);
    let inferred: readonly Inferred[] = [];
    try {
      checkElementTypes(node, info.opset, info.types);
      if (operator && known(node, info.types)) inferred = operator.infer(info);
      this.settle(node, inferred);
      if (operator?.host) this.fold(node, operator.host, info);
    } catch (error) {
      const known = error instanceof LatheError || error instanceof GraphError;
      throw located(
        node,
        known
          ? error
          : new GraphError(`${node.opType} does not accept these inputs and attributes (${String(error)})`, {
              cause: error,
            }),
      );
    }
  }

  private settle(node: Node, inferred: readonly (Inferred | null | undefined)[]): void {
    node.outputs.forEach((name, i) => {
      if (name === '') return;
      const found = inferred[i] ?? null;
      if (found?.shape?.some((dim) => typeof dim === 'number' && dim < 0))
        throw new GraphError(`output "${printable(name)}" would have the impossible shape [${found.shape.join(', ')}]`);
      const type = this.merge(name, found && this.bound(found));
      this.types.set(name, type);
      if (found?.elements && type && isShapeLike(type)) this.setElements(name, type, found.elements);
    });
  }

  /** The inferred type, completed by the declared one; where they disagree, the inferred one holds. */
  private merge(name: string, inferred: TensorType | null): TensorType | null {
    const declared = this.declared.get(name);
    if (!declared || declared.dtype === 'undefined') return inferred ?? declared ?? null;
    if (!inferred || inferred.dtype === 'undefined') return declared;
    if (inferred.dtype !== declared.dtype)
      throw new GraphError(`output "${printable(name)}" is declared ${declared.dtype}, but is ${inferred.dtype}`);
    if (!inferred.shape || !declared.shape) return inferred.shape ? inferred : declared;
    return { dtype: inferred.dtype, shape: this.mergeShapes(name, inferred.shape, declared.shape) };
  }

  private mergeShapes(name: string, inferred: readonly Dim[], declared: readonly Dim[]): readonly Dim[] {
    const sameRank = inferred.length === declared.length;
    if (!sameRank || inferred.some((dim, axis) => contradicts(dim, declared[axis])))
      this.shared.contradictions.push(
        `"${printable(name)}" is declared [${declared.join(', ')}], but is [${inferred.join(', ')}]`,
      );
    return sameRank ? inferred.map((dim, axis) => mergeDim(dim, declared[axis] ?? null)) : inferred;
  }

  private setElements(name: string, type: TensorType, elements: readonly Dim[]): void {
    const bound = elements.map((dim) => this.boundDim(dim));
    this.elements.set(name, bound);
    if (!bound.every((dim) => typeof dim === 'number')) return;
    this.constants.set(name, hostOf(type.dtype, type.shape?.length === 0 ? [] : [bound.length], bound));
  }

  /** Computes the node where all its inputs are small constants, as in shape arithmetic. */
  private fold(node: Node, compute: NonNullable<Operator['host']>, info: NodeInfo): void {
    if (node.outputs.every((name) => name === '' || this.constants.has(name))) return;
    const inputs: (HostTensor | null)[] = [];
    for (const name of node.inputs) {
      const type = name === '' ? null : this.typeOf(name);
      if (type && !isSmall(type)) return;
      const constant = name === '' ? null : this.constantOf(name);
      if (name !== '' && !constant) return;
      inputs.push(constant);
    }
    if (node.outputs.some((name) => name !== '' && !isSmall(this.typeOf(name)))) return;
    const outputs = compute(inputs, info);
    node.outputs.forEach((name, i) => {
      const value = outputs[i];
      if (name === '' || !value) return;
      this.constants.set(name, value);
      this.types.set(name, { dtype: value.dtype, shape: value.dims });
    });
  }

  private inferInner(graph: Graph, inputs: readonly (TensorType | null)[]): (TensorType | null)[] {
    this.shared.visits -= graph.nodes.length;
    if (this.shared.visits < 0) throw new GraphError('its subgraphs nest too deeply');
    const scope = new Scope(graph, this.shared, this);
    graph.inputs.forEach((input, i) => scope.setInput(input.name, inputs[i] ?? input.type));
    scope.walk();
    this.inner.set(graph, scope);
    return graph.outputs.map((output) => scope.typeOf(output.name));
  }

  private setTensor(tensor: Tensor): void {
    this.tensors.set(tensor.name, tensor);
    this.types.set(tensor.name, { dtype: tensor.dtype, shape: tensor.dims });
  }

  private remember(name: string, elements: readonly Dim[]): readonly Dim[] {
    this.elements.set(name, elements);
    return elements;
  }

  private bound(type: TensorType): TensorType {
    return { dtype: type.dtype, shape: type.shape?.map((dim) => this.boundDim(dim)) ?? null };
  }

  private boundDim(dim: Dim): Dim {
    return typeof dim === 'string' ? (this.shared.bindings.get(dim) ?? dim) : dim;
  }
}

/** Whether every given input has a known element type, without which no operator can infer. */
function known(node: Node, types: readonly (TensorType | null)[]): boolean {
  return node.inputs.every((name, i) => name === '' || (types[i]?.dtype ?? 'undefined') !== 'undefined');
}

function isShapeLike({ dtype, shape }: TensorType): boolean {
  return (
    (dtype === 'int64' || dtype === 'int32') &&
    shape !== null &&
    (shape.length === 0 || (shape.length === 1 && (typeof shape[0] !== 'number' || shape[0] <= 1024)))
  );
}

/** Known to have at most `MAX_FOLDED` elements. */
function isSmall(type: TensorType | null): boolean {
  return type?.shape?.every((dim) => typeof dim === 'number') === true && elementCount(type.shape) <= MAX_FOLDED;
}

const contradicts = (inferred: Dim, declared: Dim | undefined): boolean =>
  typeof inferred === 'number' && typeof declared === 'number' && inferred !== declared;

function mergeDim(inferred: Dim, declared: Dim): Dim {
  if (typeof inferred === 'number') return inferred;
  if (typeof declared === 'number') return declared;
  return inferred === null || (inferred.startsWith('?') && declared !== null) ? declared : inferred;
}

function readable(tensor: Tensor): HostTensor | null {
  return tensor.dtype === 'complex64' || tensor.dtype === 'complex128' || tensor.dtype === 'undefined'
    ? null
    : toHost(tensor);
}
