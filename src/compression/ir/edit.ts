/**
 * Helpers to read and rewrite graphs. Everything returns new objects; untouched nodes and tensors stay the same
 * objects.
 */
import { malformed, nodeLabel } from './graph-error.ts';
import type { Attribute, Graph, Model, Node, Tensor } from './types.ts';

/**
 * Makes a node. Plain attribute values become ints and strings; a float is given as `{ float: 0.5 }`. The name defaults
 * to the first output's.
 */
export function makeNode(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  more: { name?: string; domain?: string } = {},
): Node {
  const entries = Object.entries(attributes).map(([name, value]) => [name, attributeOf(value)] as const);
  return {
    name: more.name ?? outputs.find((output) => output !== '') ?? '',
    opType,
    domain: more.domain ?? '',
    inputs,
    outputs,
    attributes: new Map(entries),
  };
}

export type AttributeValue =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | Attribute;

function attributeOf(value: AttributeValue): Attribute {
  if (typeof value === 'number') return { kind: 'int', value };
  if (typeof value === 'string') return { kind: 'string', value };
  if (isList(value)) return { kind: 'ints', value };
  if ('float' in value) return { kind: 'float', value: value.float };
  if ('floats' in value) return { kind: 'floats', value: value.floats };
  return value;
}

function isList(value: AttributeValue): value is readonly number[] {
  return Array.isArray(value);
}

/** The subgraphs of a node (bodies of If, Loop, Scan) with the attribute that holds each. */
export function subgraphs(node: Node): { readonly attribute: string; readonly graph: Graph }[] {
  const found: { attribute: string; graph: Graph }[] = [];
  for (const [attribute, { kind, value }] of node.attributes) {
    if (kind === 'graph') found.push({ attribute, graph: value });
    else if (kind === 'graphs') for (const graph of value) found.push({ attribute, graph });
  }
  return found;
}

/** The node with each subgraph replaced; the same object where none changed. */
export function mapSubgraphs(node: Node, change: (graph: Graph) => Graph): Node {
  let attributes: Map<string, Attribute> | undefined;
  for (const [name, attribute] of node.attributes) {
    const changed = mapAttribute(attribute, change);
    if (changed !== attribute) (attributes ??= new Map(node.attributes)).set(name, changed);
  }
  return attributes ? { ...node, attributes } : node;
}

function mapAttribute(attribute: Attribute, change: (graph: Graph) => Graph): Attribute {
  if (attribute.kind === 'graph') {
    const value = change(attribute.value);
    return value === attribute.value ? attribute : { kind: 'graph', value };
  }
  if (attribute.kind !== 'graphs') return attribute;
  const value = attribute.value.map(change);
  return value.every((graph, i) => graph === attribute.value[i]) ? attribute : { kind: 'graphs', value };
}

/** Visits the nodes of a graph and of all subgraphs within it. */
export function walkNodes(graph: Graph, visit: (node: Node, graph: Graph) => void): void {
  for (const node of graph.nodes) {
    visit(node, graph);
    for (const { graph: inner } of subgraphs(node)) walkNodes(inner, visit);
  }
}

/** Names that a subgraph takes from the scopes around it. */
export function capturedNames(graph: Graph): Set<string> {
  const own = new Set<string>(graph.initializers.keys());
  for (const input of graph.inputs) own.add(input.name);
  for (const node of graph.nodes) for (const output of node.outputs) own.add(output);
  const captured = new Set<string>();
  const use = (name: string): void => {
    if (name !== '' && !own.has(name)) captured.add(name);
  };
  for (const node of graph.nodes) for (const name of usedNames(node)) use(name);
  for (const output of graph.outputs) use(output.name);
  return captured;
}

/** Every value a node depends on: its inputs and its subgraphs' captures, without ''. */
export function usedNames(node: Node): Set<string> {
  const names = new Set(node.inputs);
  for (const { graph } of subgraphs(node)) for (const name of capturedNames(graph)) names.add(name);
  names.delete('');
  return names;
}

/** One use of a value: which input of which node; `input: -1` for a capture by a subgraph of the node. */
export interface Use {
  readonly node: Node;
  readonly input: number;
}

export interface GraphIndex {
  /** The node that computes a value; absent for inputs, initializers and captured names. */
  readonly producer: ReadonlyMap<string, Node>;
  /** Uses by nodes of this graph, in node order. */
  readonly consumers: ReadonlyMap<string, readonly Use[]>;
  readonly outputs: ReadonlySet<string>;
}

/** Producer and consumers of each value of a graph. */
export function indexGraph(graph: Graph): GraphIndex {
  const producer = new Map<string, Node>();
  const consumers = new Map<string, Use[]>();
  const add = (name: string, use: Use): void => {
    const uses = consumers.get(name);
    if (uses) uses.push(use);
    else consumers.set(name, [use]);
  };
  for (const node of graph.nodes) {
    for (const output of node.outputs) if (output !== '') producer.set(output, node);
    node.inputs.forEach((name, input) => {
      if (name !== '') add(name, { node, input });
    });
    for (const { graph: inner } of subgraphs(node))
      for (const name of capturedNames(inner)) add(name, { node, input: -1 });
  }
  return { producer, consumers, outputs: new Set(graph.outputs.map((output) => output.name)) };
}

/**
 * The nodes in topological order (Kahn, 1962, by file position); a graph that is in order already keeps its order.
 * @throws LatheError `malformed-model` where the graph has a cycle.
 */
export function topologicalOrder(graph: Graph): readonly Node[] {
  const position = new Map<string, number>();
  graph.nodes.forEach((node, i) => {
    for (const output of node.outputs) if (output !== '') position.set(output, i);
  });
  const places = graph.nodes.map((node): Place => ({ node, waiting: 0, followers: [] }));
  let sorted = true;
  places.forEach((place, i) => {
    for (const name of usedNames(place.node)) {
      const source = position.get(name);
      if (source === undefined) continue;
      if (source >= i) sorted = false;
      place.waiting++;
      places[source]?.followers.push(place);
    }
  });
  return sorted ? graph.nodes : kahn(places);
}

/** A node in the graph of dependencies. */
interface Place {
  readonly node: Node;
  /** Values that it still waits for. */
  waiting: number;
  readonly followers: Place[];
}

function kahn(places: readonly Place[]): Node[] {
  const ready = places.filter(({ waiting }) => waiting === 0);
  // the loop also visits what it appends
  for (const { followers } of ready)
    for (const follower of followers) if (--follower.waiting === 0) ready.push(follower);
  const stuck = places.find(({ waiting }) => waiting > 0);
  if (stuck) throw malformed(nodeLabel(stuck.node), 'the node depends on its own output: the graph has a cycle');
  return ready.map(({ node }) => node);
}

/** Keeps only the nodes that the outputs, and the values named in `keep`, depend on. */
export function removeDeadNodes(graph: Graph, keep: Iterable<string> = []): Graph {
  const index = indexGraph(graph);
  const alive = new Set<Node>();
  const pending = [...index.outputs, ...keep];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const node = index.producer.get(name);
    if (!node || alive.has(node)) continue;
    alive.add(node);
    pending.push(...usedNames(node));
  }
  return alive.size === graph.nodes.length ? graph : { ...graph, nodes: graph.nodes.filter((node) => alive.has(node)) };
}

/** Drops unread initializers, but keeps those that are graph inputs or outputs, the model's interface. */
export function removeUnusedInitializers(graph: Graph): Graph {
  const used = new Set<string>([...graph.inputs, ...graph.outputs].map(({ name }) => name));
  for (const node of graph.nodes) for (const name of usedNames(node)) used.add(name);
  const kept = [...graph.initializers].filter(([name]) => used.has(name));
  return kept.length === graph.initializers.size ? graph : { ...graph, initializers: new Map(kept) };
}

/** The graph with initializers added or replaced. */
export function withInitializers(graph: Graph, tensors: Iterable<Tensor>): Graph {
  const initializers = new Map(graph.initializers);
  for (const tensor of tensors) initializers.set(tensor.name, tensor);
  return { ...graph, initializers };
}

/** The model with another main graph. */
export function withGraph(model: Model, graph: Graph): Model {
  return graph === model.graph ? model : { ...model, graph };
}

/**
 * Replaces every read of a value named in `names`, captures by subgraphs included. A name that a subgraph defines
 * itself stays.
 */
export function renameUses(graph: Graph, names: ReadonlyMap<string, string>): Graph {
  if (names.size === 0) return graph;
  const nodes = graph.nodes.map((node) => renameInputs(node, names));
  return nodes.every((node, i) => node === graph.nodes[i]) ? graph : { ...graph, nodes };
}

/** Also renames a subgraph's outputs: they may be captured values, and their names mean nothing outside. */
function renameInSubgraph(graph: Graph, names: ReadonlyMap<string, string>): Graph {
  const renamed = renameUses(graph, names);
  if (!graph.outputs.some(({ name }) => names.has(name))) return renamed;
  return {
    ...renamed,
    outputs: graph.outputs.map((output) => ({ ...output, name: names.get(output.name) ?? output.name })),
  };
}

function renameInputs(node: Node, names: ReadonlyMap<string, string>): Node {
  const inner = mapSubgraphs(node, (graph) => renameInSubgraph(graph, visible(names, graph)));
  if (!inner.inputs.some((name) => names.has(name))) return inner;
  return { ...inner, inputs: inner.inputs.map((name) => names.get(name) ?? name) };
}

/** The names that the graph does not define itself. */
function visible(names: ReadonlyMap<string, string>, graph: Graph): ReadonlyMap<string, string> {
  const own = new Set<string>([
    ...graph.initializers.keys(),
    ...graph.inputs.map(({ name }) => name),
    ...graph.nodes.flatMap(({ outputs }) => outputs),
  ]);
  return new Map([...names].filter(([name]) => !own.has(name)));
}

/** Returns names that occur nowhere in the model: `base`, else `base_1`, `base_2`... */
export function freshNames(model: Model): (base: string) => string {
  const taken = new Set<string>();
  collectNames(model.graph, taken);
  const next = new Map<string, number>();
  return (base) => {
    let name = base;
    let i = next.get(base) ?? 1;
    while (taken.has(name)) name = `${base}_${i++}`;
    next.set(base, i);
    taken.add(name);
    return name;
  };
}

function collectNames(graph: Graph, names: Set<string>): void {
  for (const name of graph.initializers.keys()) names.add(name);
  for (const { name } of [...graph.inputs, ...graph.outputs, ...graph.valueInfos]) names.add(name);
  for (const node of graph.nodes) {
    names.add(node.name);
    for (const name of [...node.inputs, ...node.outputs]) names.add(name);
    for (const { graph: inner } of subgraphs(node)) collectNames(inner, names);
  }
}
