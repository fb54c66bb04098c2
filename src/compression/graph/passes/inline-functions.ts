import { freshNames, mapSubgraphs } from '../edit.ts';
import { malformed, nodeLabel } from '../graph-error.ts';
import type { Attribute, FunctionDefinition, Graph, Model, Node } from '../types.ts';

const MOST_NODES = 1_000_000;

/**
 * Replaces every call of a model-local function by the function's body, in subgraphs as well. Opset imports of the bodies are joined to the
 * model's; where both import a domain at different versions the model's is used, as ONNX asks the two to be compatible.
 * Expects a validated model (functions do not call themselves).
 */
export function inlineFunctions(model: Model): Model {
  if (model.functions.length === 0) return model;
  const inliner = new Inliner(model);
  const graph = inliner.graph(model.graph);
  const opsets = new Map(model.opsets);
  for (const definition of model.functions) for (const [domain, version] of definition.opsets) if (!opsets.has(domain)) opsets.set(domain, version);
  return { ...model, graph, opsets, functions: [] };
}

class Inliner {
  private readonly functions: ReadonlyMap<string, FunctionDefinition>;
  private readonly fresh: (base: string) => string;
  private nodes = 0;

  constructor(model: Model) {
    this.functions = new Map(model.functions.map((definition) => [`${definition.domain}:${definition.name}:${definition.overload}`, definition]));
    this.fresh = freshNames(model);
  }

  graph(graph: Graph): Graph {
    const nodes = graph.nodes.flatMap((node) => this.node(node));
    return nodes.length === graph.nodes.length && nodes.every((node, i) => node === graph.nodes[i]) ? graph : { ...graph, nodes };
  }

  private node(node: Node): Node[] {
    if (++this.nodes > MOST_NODES) throw malformed(nodeLabel(node), `functions expand to more than ${MOST_NODES} nodes`);
    const definition = this.functions.get(`${node.domain}:${node.opType}:${node.overload ?? ''}`);
    if (!definition) return [mapSubgraphs(node, (graph) => this.graph(graph))];
    return this.body(node, definition).flatMap((inner) => this.node(inner));
  }

  /** The body with the call's names and attributes in place of the function's. */
  private body(call: Node, definition: FunctionDefinition): Node[] {
    const names = new Map<string, string>([['', '']]);
    definition.inputs.forEach((name, i) => names.set(name, call.inputs[i] ?? ''));
    definition.outputs.forEach((name, i) => { if (call.outputs[i]) names.set(name, call.outputs[i]); });
    const prefix = call.name || definition.name;
    const rename = (name: string): string => {
      const known = names.get(name);
      if (known !== undefined) return known;
      const made = this.fresh(`${prefix}/${name}`);
      names.set(name, made);
      return made;
    };
    const passed = definition.outputs.filter((name) => definition.inputs.includes(name));
    const nodes = definition.nodes.map((node) => instantiate(node, rename, attributesOf(call, definition)));
    // An output that is an input itself needs a node to carry it.
    return [...nodes, ...passed.map((name) => identity(call.inputs[definition.inputs.indexOf(name)] ?? '', call.outputs[definition.outputs.indexOf(name)] ?? '', this.fresh(`${prefix}/identity`)))];
  }
}

function identity(input: string, output: string, name: string): Node {
  return { name, opType: 'Identity', domain: '', inputs: [input], outputs: [output], attributes: new Map() };
}

function attributesOf(call: Node, definition: FunctionDefinition): ReadonlyMap<string, Attribute> {
  return new Map([...definition.attributeDefaults, ...call.attributes]);
}

function instantiate(node: Node, rename: (name: string) => string, attributes: ReadonlyMap<string, Attribute>): Node {
  const bound = bindAttributes(node, attributes);
  const inner = mapSubgraphs(bound, (graph) => instantiateGraph(graph, rename, attributes));
  return { ...inner, name: node.name === '' ? '' : rename(`${node.name}/node`), inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) };
}

/** A subgraph of a function body: captured names are the call's, its own stay apart by their prefix. */
function instantiateGraph(graph: Graph, rename: (name: string) => string, attributes: ReadonlyMap<string, Attribute>): Graph {
  return {
    ...graph,
    nodes: graph.nodes.map((node) => instantiate(node, rename, attributes)),
    initializers: new Map([...graph.initializers].map(([name, tensor]) => [rename(name), { ...tensor, name: rename(name) }])),
    inputs: graph.inputs.map((info) => ({ ...info, name: rename(info.name) })),
    outputs: graph.outputs.map((info) => ({ ...info, name: rename(info.name) })),
    valueInfos: graph.valueInfos.map((info) => ({ ...info, name: rename(info.name) })),
  };
}

/** References (`ref_attr_name`) become the call's attributes; those the call leaves out disappear, so that the operator's default holds. */
function bindAttributes(node: Node, attributes: ReadonlyMap<string, Attribute>): Node {
  if (![...node.attributes.values()].some(({ kind }) => kind === 'reference')) return node;
  const bound = new Map<string, Attribute>();
  for (const [name, attribute] of node.attributes) {
    const value = attribute.kind === 'reference' ? attributes.get(attribute.value) : attribute;
    if (value) bound.set(name, value);
  }
  return { ...node, attributes: bound };
}
