/** Copies of nodes and subgraphs under other names: what inlining functions, branches and loop bodies share. */
import { mapSubgraphs } from '../../ir/edit.ts';
import type { Attribute, Graph, Node, Tensor } from '../../ir/types.ts';

export type Rename = (name: string) => string;

/** The node with every value renamed, in its subgraphs as well; its own name goes through `nodeName`. */
export function instantiateNode(
  node: Node,
  rename: Rename,
  nodeName: Rename,
  attributes: ReadonlyMap<string, Attribute> = new Map(),
): Node {
  const bound = bindAttributes(node, attributes);
  const inner = mapSubgraphs(bound, (graph) => instantiateGraph(graph, rename, nodeName, attributes));
  return {
    ...inner,
    name: node.name === '' ? '' : nodeName(node.name),
    inputs: node.inputs.map(rename),
    outputs: node.outputs.map(rename),
  };
}

function instantiateGraph(
  graph: Graph,
  rename: Rename,
  nodeName: Rename,
  attributes: ReadonlyMap<string, Attribute>,
): Graph {
  return {
    ...graph,
    nodes: graph.nodes.map((node) => instantiateNode(node, rename, nodeName, attributes)),
    initializers: new Map(
      [...graph.initializers.values()].map((tensor) => [rename(tensor.name), { ...tensor, name: rename(tensor.name) }]),
    ),
    inputs: graph.inputs.map((info) => ({ ...info, name: rename(info.name) })),
    outputs: graph.outputs.map((info) => ({ ...info, name: rename(info.name) })),
    valueInfos: graph.valueInfos.map((info) => ({ ...info, name: rename(info.name) })),
  };
}

/**
 * References (`ref_attr_name`) become the given attributes; those not given disappear, so that the operator's default
 * holds.
 */
function bindAttributes(node: Node, attributes: ReadonlyMap<string, Attribute>): Node {
  if (![...node.attributes.values()].some(({ kind }) => kind === 'reference')) return node;
  const bound = new Map<string, Attribute>();
  for (const [name, attribute] of node.attributes) {
    const value = attribute.kind === 'reference' ? attributes.get(attribute.value) : attribute;
    if (value) bound.set(name, value);
  }
  return { ...node, attributes: bound };
}

export function identityNode(input: string, output: string): Node {
  return { name: '', opType: 'Identity', domain: '', inputs: [input], outputs: [output], attributes: new Map() };
}

export interface Inlined {
  readonly nodes: readonly Node[];
  readonly initializers: readonly Tensor[];
}

/**
 * The body of a subgraph as nodes of the graph around it. `inputs` are the values that replace the subgraph's inputs,
 * `outputs` the names that its outputs get ('' where nothing reads one); everything else that it defines gets a fresh
 * name.
 */
export function inlineGraph(
  graph: Graph,
  { inputs, outputs }: { readonly inputs: readonly string[]; readonly outputs: readonly string[] },
  fresh: Rename,
  prefix: string,
): Inlined {
  const made = new Set(graph.nodes.flatMap((node) => node.outputs));
  const own = new Set([...made, ...graph.initializers.keys()]);
  const names = new Map<string, string>([['', '']]);
  graph.inputs.forEach(({ name }, i) => names.set(name, inputs[i] ?? ''));
  const copies: [string, string][] = [];
  graph.outputs.forEach(({ name }, i) => {
    const wanted = outputs[i] ?? '';
    if (wanted === '') return;
    if (made.has(name) && !names.has(name)) names.set(name, wanted);
    else copies.push([name, wanted]); // a captured value, a constant, an input, or one value twice
  });
  const rename: Rename = (name) => {
    const known = names.get(name);
    if (known !== undefined || !own.has(name)) return known ?? name;
    const unique = fresh(`${prefix}/${name}`);
    names.set(name, unique);
    return unique;
  };
  const nodeName: Rename = (name) => fresh(`${prefix}/${name}`);
  const nodes = graph.nodes.map((node) => instantiateNode(node, rename, nodeName));
  const initializers = [...graph.initializers.values()].map((tensor) => ({ ...tensor, name: rename(tensor.name) }));
  return { nodes: [...nodes, ...copies.map(([name, wanted]) => identityNode(rename(name), wanted))], initializers };
}
