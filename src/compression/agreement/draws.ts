/**
 * Makes models that draw random numbers (a variational autoencoder's samples, a generator's noise) comparable: the
 * numbers are drawn once and fed to both sides as inputs, so that everything else must agree.
 */
import { allocate } from '../data/array-store.ts';
import type { HostArray } from '../data/dataset.ts';
import { storageDtype } from '../data/transform.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { isDraw, mayDrop } from '../graph/draws.ts';
import { inputName } from '../ir/checked-access.ts';
import { indexGraph, mapSubgraphs } from '../ir/edit.ts';
import { inferShapes } from '../graph/infer.ts';
import { inlineFunctions } from '../graph/passes/inline-functions.ts';
import type { Graph, Model, Node, ValueInfo } from '../ir/types.ts';
import { openRuntime, type Feeds, type RuntimeOutput } from '../measure/session.ts';
import type { Trial } from './rounding.ts';

/** Operators whose first input holds the probabilities of the draw. */
const BY_PROBABILITIES: ReadonlySet<string> = new Set(['Bernoulli', 'Multinomial']);

/**
 * The feeds plus the values that onnxruntime draws in the main graph on these feeds, from fixed seeds.
 */
export async function feedsWithDraws({ model, feeds }: Trial): Promise<Feeds> {
  const whole = inlineFunctions(model);
  const { values } = findDraws(whole);
  return new Map([...feeds, ...(await valuesOf(seeded(whole, values), values, feeds))]);
}

/**
 * The model without randomness. Draws of the main graph become inputs; the probabilities that some depend on become
 * outputs, since nothing else would check how they are computed. Dropouts keep everything. Draws inside branches and
 * loops stay.
 */
export function withoutDraws(model: Model): Model {
  const whole = inlineFunctions(model);
  return { ...whole, graph: without(whole.graph, findDraws(whole)) };
}

interface Draws {
  /** Outputs of the main graph's random nodes. */
  readonly values: readonly ValueInfo[];
  /** Computed values that they are drawn by. */
  readonly probabilities: readonly ValueInfo[];
}

function findDraws(model: Model): Draws {
  const types = inferShapes(model);
  const { producer } = indexGraph(model.graph);
  const nodes = model.graph.nodes.filter(isDraw);
  const values = nodes.flatMap(({ outputs }) => outputs.filter((name) => name !== ''));
  const by = nodes.filter(({ opType }) => BY_PROBABILITIES.has(opType)).map((node) => inputName(node));
  const named = (names: readonly string[]) => [...new Set(names)].map((name) => ({ name, type: types.typeOf(name) }));
  return {
    values: named(values),
    probabilities: named(by.filter((name) => producer.has(name) && !values.includes(name))),
  };
}

/** The model with its draws as outputs, each with its own seed. */
function seeded(model: Model, draws: readonly ValueInfo[]): Model {
  const { graph } = model;
  const nodes = graph.nodes.map(
    (node, i): Node =>
      isDraw(node)
        ? { ...node, attributes: new Map(node.attributes).set('seed', { kind: 'float', value: i + 1 }) }
        : keepAll(node),
  );
  const known = new Set(graph.outputs.map(({ name }) => name));
  return {
    ...model,
    graph: { ...graph, nodes, outputs: [...graph.outputs, ...draws.filter(({ name }) => !known.has(name))] },
  };
}

async function valuesOf(model: Model, draws: readonly ValueInfo[], feeds: Feeds): Promise<[string, HostArray][]> {
  if (draws.length === 0) return [];
  const runtime = await openRuntime(writeOnnx(model), { threads: 2 });
  try {
    return [
      ...(await runtime.run(
        feeds,
        draws.map(({ name }) => name),
      )),
    ].map(([name, output]) => [name, toFeed(output)]);
  } finally {
    await runtime.release();
  }
}

function toFeed({ dtype, dims, data }: RuntimeOutput): HostArray {
  const carrier = storageDtype(dtype);
  const carried = allocate(carrier, data.length);
  data.forEach((value, i) => {
    carried[i] = carried instanceof BigInt64Array ? BigInt(value) : value;
  });
  return { dtype: carrier, shape: dims, data: carried };
}

function without(graph: Graph, { values, probabilities }: Draws): Graph {
  const drawn = new Set(values.map(({ name }) => name));
  const outputs = graph.outputs.filter(({ name }) => !drawn.has(name));
  const known = new Set(outputs.map(({ name }) => name));
  return {
    ...graph,
    nodes: graph.nodes.filter((node) => !isDraw(node)).map(keepAll),
    inputs: [...graph.inputs, ...values],
    outputs: [...outputs, ...probabilities.filter(({ name }) => !known.has(name))],
  };
}

/** Removes the input that makes a Dropout drop, in branches and bodies as well. */
function keepAll(node: Node): Node {
  const kept = mayDrop(node) ? { ...node, inputs: node.inputs.slice(0, 2) } : node;
  return mapSubgraphs(kept, (graph) => ({ ...graph, nodes: graph.nodes.map(keepAll) }));
}
