/** Structure of an untrusted model: names, references, scopes and order, before anything is computed. */
import { capturedNames, subgraphs, topologicalOrder } from './edit.ts';
import { malformed, nodeLabel, printable } from './graph-error.ts';
import type { Graph, Model, Node } from './types.ts';

/**
 * Checks that every name is defined once and every reference resolves, in the main graph, its subgraphs and functions.
 * @throws LatheError `malformed-model` with the node or value.
 */
export function validateModel(model: Model): void {
  const { graph } = model;
  if (graph.outputs.length === 0) throw malformed('graph', 'the model has no output');
  validateGraph(graph, null);
  for (const definition of model.functions) {
    const place = `function "${printable(definition.name)}"`;
    if (definition.name === '') throw malformed('function', 'a function without name');
    const body = { name: definition.name, nodes: definition.nodes, initializers: new Map(), inputs: definition.inputs.map(untyped), outputs: definition.outputs.map(untyped), valueInfos: [] };
    validateGraph(body, null, place);
  }
  checkFunctionsEnd(model);
}

const untyped = (name: string): { name: string; type: null } => ({ name, type: null });

/** Names visible from enclosing graphs. */
interface OuterScope {
  readonly names: ReadonlySet<string>;
  readonly outer: OuterScope | null;
}

function validateGraph(graph: Graph, outer: OuterScope | null, place = 'graph'): void {
  const names = definedNames(graph, place);
  const visible = (name: string): boolean => {
    for (let scope: OuterScope | null = { names, outer }; scope; scope = scope.outer) if (scope.names.has(name)) return true;
    return false;
  };
  for (const node of graph.nodes) checkNode(node, visible);
  for (const output of graph.outputs) {
    if (output.name === '') throw malformed(place, 'an output without name');
    if (!visible(output.name)) throw malformed(place, `output "${printable(output.name)}" is computed by no node`);
  }
  topologicalOrder(graph);
  for (const node of graph.nodes) for (const inner of subgraphs(node)) validateGraph(inner.graph, { names, outer }, `${nodeLabel(node)}, ${inner.attribute}`);
}

function checkNode(node: Node, visible: (name: string) => boolean): void {
  for (const name of node.inputs) {
    if (name !== '' && !visible(name)) throw malformed(nodeLabel(node), `its input "${printable(name)}" is defined nowhere`);
  }
  for (const { attribute, graph } of subgraphs(node)) {
    for (const name of capturedNames(graph)) {
      if (!visible(name)) throw malformed(nodeLabel(node), `its subgraph "${attribute}" uses "${printable(name)}", which is defined nowhere`);
    }
  }
}

/** All names a graph defines. An initializer may share its name with an input (its default value); nothing else may be defined twice. */
function definedNames(graph: Graph, place: string): Set<string> {
  const names = new Set<string>();
  for (const { name } of graph.inputs) {
    if (name === '') throw malformed(place, 'an input without name');
    if (names.has(name)) throw malformed(place, `two inputs named "${printable(name)}"`);
    names.add(name);
  }
  for (const name of graph.initializers.keys()) names.add(name);
  for (const node of graph.nodes) {
    for (const name of node.outputs) {
      if (name === '') continue;
      if (names.has(name)) throw malformed(nodeLabel(node), `its output "${printable(name)}" is defined twice`);
      names.add(name);
    }
  }
  return names;
}

/** Functions may call functions, but not themselves, however far round. */
function checkFunctionsEnd(model: Model): void {
  const key = (domain: string, name: string): string => `${domain}:${name}`;
  const byKey = new Map(model.functions.map((definition) => [key(definition.domain, definition.name), definition]));
  const state = new Map<string, 'open' | 'done'>();
  const visit = (name: string, depth: number): void => {
    const definition = byKey.get(name);
    if (!definition || state.get(name) === 'done') return;
    if (state.get(name) === 'open' || depth > 64) throw malformed(`function "${printable(definition.name)}"`, 'the function calls itself');
    state.set(name, 'open');
    for (const node of definition.nodes) visit(key(node.domain, node.opType), depth + 1);
    state.set(name, 'done');
  };
  for (const name of byKey.keys()) visit(name, 0);
}
