/** Checks the structure of an untrusted model (names, references, scopes, order) before anything is computed. */
import { capturedNames, subgraphs, topologicalOrder } from './edit.ts';
import { checkSchema } from './check-schema.ts';
import { atNode, malformed, nodeLabel, printable } from './graph-error.ts';
import type { FunctionDefinition, Graph, Model, Node } from './types.ts';

/**
 * Checks that every name is defined once, every reference resolves and every node fits its operator's schema, in the
 * main graph, its subgraphs and functions.
 * @throws LatheError `malformed-model` with the node or value.
 */
export function validateModel(model: Model): void {
  const { graph } = model;
  if (graph.outputs.length === 0) throw malformed('graph', 'the model has no output');
  const functions = new Map(
    model.functions.map((definition) => [
      functionKey(definition.domain, definition.name, definition.overload),
      definition,
    ]),
  );
  validateGraph(graph, null, { functions, opset: model.opsets.get('') });
  for (const definition of model.functions) {
    const place = `function "${printable(definition.name)}"`;
    if (definition.name === '') throw malformed('function', 'a function has no name');
    const body = {
      name: definition.name,
      nodes: definition.nodes,
      initializers: new Map(),
      inputs: definition.inputs.map(untyped),
      outputs: definition.outputs.map(untyped),
      valueInfos: [],
    };
    validateGraph(body, null, { functions, opset: definition.opsets.get('') ?? model.opsets.get('') }, place);
  }
  checkFunctionsEnd(model.functions, functions);
}

/**
 * The operators a node may call: functions of the model, or those of ONNX's own domain at this opset (undefined: not
 * imported).
 */
interface Operators {
  readonly functions: ReadonlyMap<string, FunctionDefinition>;
  readonly opset: number | undefined;
}

const functionKey = (domain: string, name: string, overload = ''): string => `${domain}:${name}:${overload}`;

const untyped = (name: string): { name: string; type: null } => ({ name, type: null });

/** Names visible from enclosing graphs. */
interface OuterScope {
  readonly names: ReadonlySet<string>;
  /** Names of inputs and initializers, which no node of a subgraph may give its output. */
  readonly given: ReadonlySet<string>;
  readonly outer: OuterScope | null;
}

function validateGraph(graph: Graph, outer: OuterScope | null, operators: Operators, place = 'graph'): void {
  checkNodeNames(graph);
  const names = definedNames(graph, place);
  const given = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.initializers.keys(),
    ...(outer?.given ?? []),
  ]);
  checkShadows(graph, outer);
  const visible = (name: string): boolean => {
    for (let scope: OuterScope | null = { names, given, outer }; scope; scope = scope.outer)
      if (scope.names.has(name)) return true;
    return false;
  };
  for (const node of graph.nodes) checkNode(node, visible, operators);
  for (const output of graph.outputs) {
    if (output.name === '') throw malformed(place, 'an output has no name');
    if (!visible(output.name)) throw malformed(place, `output "${printable(output.name)}" is computed by no node`);
  }
  topologicalOrder(graph);
  for (const node of graph.nodes)
    for (const inner of subgraphs(node))
      validateGraph(inner.graph, { names, given, outer }, operators, `${nodeLabel(node)}, ${inner.attribute}`);
}

function checkNode(node: Node, visible: (name: string) => boolean, operators: Operators): void {
  for (const name of node.inputs) {
    if (name !== '' && !visible(name))
      throw malformed(nodeLabel(node), `its input "${printable(name)}" is defined nowhere`);
  }
  for (const { attribute, graph } of subgraphs(node)) {
    for (const name of capturedNames(graph)) {
      if (!visible(name))
        throw malformed(
          nodeLabel(node),
          `its subgraph "${attribute}" uses "${printable(name)}", which is defined nowhere`,
        );
    }
  }
  checkOperator(node, operators);
}

function checkOperator(node: Node, { functions, opset }: Operators): void {
  const definition = functions.get(functionKey(node.domain, node.opType, node.overload));
  if (definition) checkCall(node, definition);
  if (definition || node.domain !== '' || opset === undefined) return;
  try {
    checkSchema(node, opset);
  } catch (error) {
    throw atNode(node, error);
  }
}

function checkCall(node: Node, definition: FunctionDefinition): void {
  for (const side of ['inputs', 'outputs'] as const) {
    const [given, declared] = [node[side].length, definition[side].length];
    if (given > declared) throw malformed(nodeLabel(node), `it has ${given} ${side}, its function has ${declared}`);
  }
}

/**
 * Node names are optional, but distinct within a graph: onnxruntime refuses duplicates, and reports could not tell the
 * nodes apart. Constant nodes are exempt: onnxruntime treats them as values, and converters give many of them one name.
 */
function checkNodeNames(graph: Graph): void {
  const names = new Set<string>();
  for (const { name, outputs, opType, domain } of graph.nodes) {
    if (opType === 'Constant' && domain === '') continue;
    if (name !== '' && names.has(name))
      throw malformed(
        `node "${printable(name)}"`,
        `two nodes have this name, the second with output "${printable(outputs[0] ?? '')}"`,
      );
    names.add(name);
  }
}

function checkShadows(graph: Graph, outer: OuterScope | null): void {
  if (!outer) return;
  for (const node of graph.nodes) {
    const shadow = node.outputs.find((name) => name !== '' && outer.given.has(name));
    if (shadow !== undefined)
      throw malformed(
        nodeLabel(node),
        `its output "${printable(shadow)}" is defined twice, also outside of the subgraph`,
      );
  }
}

/**
 * All names a graph defines. An initializer may share its name with an input (its default value); nothing else may be
 * defined twice.
 */
function definedNames(graph: Graph, place: string): Set<string> {
  const names = new Set<string>();
  for (const { name } of graph.inputs) {
    if (name === '') throw malformed(place, 'an input has no name');
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

/** Functions may call other functions, but not themselves, directly or through others. */
function checkFunctionsEnd(
  definitions: readonly FunctionDefinition[],
  byKey: ReadonlyMap<string, FunctionDefinition>,
): void {
  const state = new Map<string, 'open' | 'done'>();
  const visit = (name: string, depth: number): void => {
    const definition = byKey.get(name);
    if (!definition || state.get(name) === 'done') return;
    if (state.get(name) === 'open' || depth > 64)
      throw malformed(`function "${printable(definition.name)}"`, 'the function calls itself');
    state.set(name, 'open');
    for (const node of definition.nodes) visit(functionKey(node.domain, node.opType, node.overload), depth + 1);
    state.set(name, 'done');
  };
  for (const { domain, name, overload } of definitions) visit(functionKey(domain, name, overload), 0);
}
