import { freshNames, mapSubgraphs } from '../../ir/edit.ts';
import { malformed, nodeLabel } from '../../ir/graph-error.ts';
import type { Attribute, FunctionDefinition, Graph, Model, Node } from '../../ir/types.ts';
import { identityNode, instantiateNode } from './instantiate.ts';

const MAX_NODES = 200_000;

/**
 * Replaces every call of a model-local function by the function's body, in subgraphs as well. Opset imports of the
 * bodies are joined to the model's; where both import a domain at different versions the model's is used, as ONNX asks
 * the two to be compatible. Expects a validated model (functions do not call themselves).
 * @throws LatheError `malformed-model` where functions expand without measure.
 */
export function inlineFunctions(model: Model): Model {
  if (model.functions.length === 0) return model;
  const inliner = new Inliner(model);
  const graph = inliner.graph(model.graph);
  const opsets = new Map(model.opsets);
  for (const definition of model.functions)
    for (const [domain, version] of definition.opsets) if (!opsets.has(domain)) opsets.set(domain, version);
  return { ...model, graph, opsets, functions: [] };
}

class Inliner {
  private readonly functions: ReadonlyMap<string, FunctionDefinition>;
  private readonly fresh: (base: string) => string;
  private nodes = 0;

  constructor(model: Model) {
    this.functions = new Map(
      model.functions.map((definition) => [
        `${definition.domain}:${definition.name}:${definition.overload}`,
        definition,
      ]),
    );
    this.fresh = freshNames(model);
  }

  graph(graph: Graph): Graph {
    const nodes = graph.nodes.flatMap((node) => this.node(node));
    return nodes.length === graph.nodes.length && nodes.every((node, i) => node === graph.nodes[i])
      ? graph
      : { ...graph, nodes };
  }

  private node(node: Node): Node[] {
    if (++this.nodes > MAX_NODES) throw malformed(nodeLabel(node), `functions expand to more than ${MAX_NODES} nodes`);
    const definition = this.functions.get(`${node.domain}:${node.opType}:${node.overload ?? ''}`);
    if (!definition) return [mapSubgraphs(node, (graph) => this.graph(graph))];
    return this.body(node, definition).flatMap((inner) => this.node(inner));
  }

  /** The body with the call's names and attributes in place of the function's. */
  private body(call: Node, definition: FunctionDefinition): Node[] {
    const prefix = call.name || definition.name;
    const names = new Map<string, string>([['', '']]);
    definition.inputs.forEach((name, i) => names.set(name, call.inputs[i] ?? ''));
    const copies: Node[] = [];
    definition.outputs.forEach((name, i) => {
      const wanted = call.outputs[i];
      if (!wanted) return;
      const input = names.get(name);
      if (input === undefined) names.set(name, wanted);
      else copies.push(identityNode(input, wanted)); // an output that is an input itself
    });
    const rename = (name: string): string => {
      const known = names.get(name);
      if (known !== undefined) return known;
      const unique = this.fresh(`${prefix}/${name}`);
      names.set(name, unique);
      return unique;
    };
    const attributes = new Map<string, Attribute>([...definition.attributeDefaults, ...call.attributes]);
    const nodes = definition.nodes.map((node) =>
      instantiateNode(node, rename, (name) => this.fresh(`${prefix}/${name}`), attributes),
    );
    return [...nodes, ...copies];
  }
}
