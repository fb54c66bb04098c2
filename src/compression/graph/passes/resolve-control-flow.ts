import { elementAt } from '../../ir/checked-access.ts';
import { freshNames, makeNode, mapSubgraphs, removeUnusedInitializers, withInitializers } from '../../ir/edit.ts';
import { inferShapes, type InferOptions, type TypeTable } from '../infer.ts';
import { fromHost, hostNumbers, hostOf, int64Host } from '../../ir/tensor-data.ts';
import type { Graph, Model, Node, Tensor } from '../../ir/types.ts';
import { identityNode, inlineGraph, type Inlined, type Rename } from './instantiate.ts';

/** Loops of more rounds, or that would grow beyond this many nodes, stay loops. */
const MAX_ROUNDS = 64;
const MAX_UNROLLED_NODES = 20_000;
/** Nested branches are resolved from the outside in, one level at a time. */
const MAX_DEPTH = 16;

/**
 * Replaces If by the branch that its condition selects and unrolls Loop, where condition and trip count follow from
 * constants and shapes. `options` may fix open dimensions first.
 */
export function resolveControlFlow(model: Model, options: InferOptions = {}): Model {
  let current = model;
  for (let level = 0; level < MAX_DEPTH; level++) {
    const next = resolveOnce(current, options);
    if (next === current) break;
    current = next;
  }
  return current;
}

function resolveOnce(model: Model, options: InferOptions): Model {
  if (!model.graph.nodes.some(({ opType, domain }) => domain === '' && (opType === 'If' || opType === 'Loop')))
    return model;
  const resolver = new Resolver(model);
  const graph = resolver.graph(model.graph, inferShapes(model, options));
  return graph === model.graph ? model : { ...model, graph: removeUnusedInitializers(graph) };
}

class Resolver {
  private readonly fresh: Rename;
  private readonly unsqueezeTakesAxesInput: boolean;

  constructor(model: Model) {
    this.fresh = freshNames(model);
    this.unsqueezeTakesAxesInput = (model.opsets.get('') ?? 1) >= 13;
  }

  graph(graph: Graph, table: TypeTable): Graph {
    const added: Tensor[] = [];
    const nodes = graph.nodes.flatMap((node) => {
      const inlined = this.resolve(node, table);
      if (!inlined) return [mapSubgraphs(node, (inner) => this.inner(inner, table))];
      added.push(...inlined.initializers);
      return inlined.nodes;
    });
    if (nodes.length === graph.nodes.length && nodes.every((node, i) => node === graph.nodes[i])) return graph;
    return withInitializers({ ...graph, nodes }, added);
  }

  private inner(graph: Graph, table: TypeTable): Graph {
    const scope = table.subgraph(graph);
    return scope ? this.graph(graph, scope) : graph;
  }

  private resolve(node: Node, table: TypeTable): Inlined | null {
    if (node.domain !== '') return null;
    if (node.opType === 'If') return this.branch(node, table);
    return node.opType === 'Loop' ? this.unroll(node, table) : null;
  }

  private branch(node: Node, table: TypeTable): Inlined | null {
    const condition = knownNumber(table, node.inputs[0]);
    const branch = node.attributes.get(condition ? 'then_branch' : 'else_branch');
    if (condition === null || branch?.kind !== 'graph') return null;
    const prefix = node.name || node.outputs[0] || 'if';
    return inlineGraph(branch.value, { inputs: [], outputs: node.outputs }, this.fresh, prefix);
  }

  /**
   * Loop(M, cond, v...) with body (i, cond, v...) -> (cond, v..., scans...): M copies of the body, scans stacked along
   * a new first axis.
   */
  private unroll(node: Node, table: TypeTable): Inlined | null {
    const body = node.attributes.get('body');
    if (body?.kind !== 'graph') return null;
    const rounds = roundsOf(node, body.value, table);
    const carriedCount = node.inputs.length - 2;
    const scanCount = body.value.outputs.length - 1 - carriedCount;
    if (rounds === null || carriedCount < 0 || scanCount < 0 || (rounds === 0 && scanCount > 0)) return null;
    const prefix = node.name || node.outputs.find((name) => name !== '') || 'loop';
    const nodes: Node[] = [];
    const initializers: Tensor[] = [];
    const constant = (tensor: Tensor): string => {
      initializers.push(tensor);
      return tensor.name;
    };
    const yes = constant(fromHost(this.fresh(`${prefix}/true`), hostOf('bool', [], [1])));
    let carried: readonly string[] = node.inputs.slice(2);
    const scans: string[][] = Array.from({ length: scanCount }, () => []);
    for (let i = 0; i < rounds; i++) {
      const round = constant(fromHost(this.fresh(`${prefix}/round`), hostOf('int64', [], [i])));
      const outputs = body.value.outputs.map(({ name }, k) => (k === 0 ? '' : this.fresh(`${prefix}/${name}`)));
      const inlined = inlineGraph(body.value, { inputs: [round, yes, ...carried], outputs }, this.fresh, prefix);
      nodes.push(...inlined.nodes);
      initializers.push(...inlined.initializers);
      carried = outputs.slice(1, 1 + carriedCount);
      outputs.slice(1 + carriedCount).forEach((name, k) => scans[k]?.push(name));
    }
    const results = [
      ...carried.map((name, k): Node[] => (node.outputs[k] ? [identityNode(name, node.outputs[k])] : [])),
      ...scans.map((names, k): Node[] => {
        const output = node.outputs[carriedCount + k];
        return output ? this.stack(names, output, prefix, constant) : [];
      }),
    ];
    return { nodes: [...nodes, ...results.flat()], initializers };
  }

  private stack(
    names: readonly string[],
    output: string,
    prefix: string,
    constant: (tensor: Tensor) => string,
  ): Node[] {
    const old = !this.unsqueezeTakesAxesInput;
    const axes = old ? [] : [constant(fromHost(this.fresh(`${prefix}/axis`), int64Host([0])))];
    const attributes: Readonly<Record<string, readonly number[]>> = old ? { axes: [0] } : {};
    const lifted = names.map(() => this.fresh(`${prefix}/lifted`));
    return [
      ...names.map((name, i) =>
        makeNode('Unsqueeze', [name, ...axes], [elementAt(lifted, i, 'value')], attributes, { name: '' }),
      ),
      makeNode('Concat', lifted, [output], { axis: 0 }, { name: '' }),
    ];
  }
}

/** Rounds of a Loop that can be unrolled: known and few; else null. */
function roundsOf(node: Node, body: Graph, table: TypeTable): number | null {
  const rounds = knownRounds(node, body, table);
  if (rounds === null) return null;
  return rounds <= MAX_ROUNDS && rounds * body.nodes.length <= MAX_UNROLLED_NODES ? rounds : null;
}

/**
 * Rounds of a Loop: the trip count (none: Infinity), if the condition starts true and the body leaves it so; null where
 * only a run can tell.
 */
export function knownRounds(node: Node, body: Graph, table: TypeTable): number | null {
  const start = node.inputs[1] ? knownNumber(table, node.inputs[1]) : 1;
  if (start === 0) return 0;
  const trips = node.inputs[0] ? knownNumber(table, node.inputs[0]) : Infinity;
  if (start === null || trips === null || !staysTrue(body, table.subgraph(body))) return null;
  return Math.max(trips, 0);
}

/** Whether the body's condition output is its condition input or constant true. */
function staysTrue(body: Graph, scope: TypeTable | undefined): boolean {
  const input = body.inputs[1]?.name;
  let name = body.outputs[0]?.name;
  for (let steps = 0; steps < 100 && name !== undefined; steps++) {
    if (name === input) return true;
    const known = scope ? knownNumber(scope, name) : null;
    if (known !== null) return known !== 0;
    const producer: Node | undefined = producerOf(body, name);
    if (producer?.opType !== 'Identity' && producer?.opType !== 'Cast') return false;
    name = producer.inputs[0];
  }
  return false;
}

const producerOf = ({ nodes }: Graph, name: string): Node | undefined =>
  nodes.find(({ outputs }) => outputs.includes(name));

function knownNumber(table: TypeTable, name: string | undefined): number | null {
  const host = name ? table.constantOf(name) : null;
  return host && host.dtype !== 'string' && host.data.length === 1 ? (hostNumbers(host)[0] ?? null) : null;
}
