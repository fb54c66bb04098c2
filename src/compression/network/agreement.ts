/** Whether the engine computes what onnxruntime computes; a model where it does not is never trained. */
import type { ModelDescription, UntrainableNode } from '../../contracts/model.ts';
import { isExhausted, LatheError } from '../../errors.ts';
import type { HostArray } from '../data/dataset.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { modelInputs, weights } from '../graph/describe.ts';
import { subgraphs, topologicalOrder, usedNames, walkNodes } from '../graph/edit.ts';
import { inferShapes, type TypeTable } from '../graph/infer.ts';
import { nodeLabel, printable } from '../graph/graph-error.ts';
import { hostNumbers, hostOf as hostTensor, isFloat } from '../graph/tensor-data.ts';
import type { DataType, Model, Node, ValueInfo } from '../graph/types.ts';
import type { HostTensor, Value } from '../operators/operator.ts';
import { randomInputs } from '../measure/inputs.ts';
import { openRuntime, type Feeds, type Runtime, type RuntimeOptions, type RuntimeOutput } from '../measure/session.ts';
import { tf } from '../tensor/tf.ts';
import { relativeDifference } from './compare.ts';
import { lowerModel } from './lower.ts';
import { roundingAllowance, type Trial } from './rounding.ts';
import type { LoopLimit } from './loop-limit.ts';
import type { Network } from './network.ts';
import { findOtherValue } from './other-types.ts';
import { download, upload } from '../operators/transfer.ts';

/** Largest difference of an output, relative to its range, but for networks so deep that rounding alone is more. */
export const AGREEMENT = 1e-4;
const SEED = 20_231;
const BATCH = 2;
/** What a run of the engine gives loops whose end only a run can tell: upload and answer together may take ten seconds. */
const LOOP_LIMIT: LoopLimit = { milliseconds: 2500, bytes: 2 ** 30 };

export interface Agreement {
  readonly trainable: boolean;
  readonly untrainable: UntrainableNode[];
  /** What the run shows of the file, where there is something. */
  readonly warnings?: ModelDescription['warnings'];
}

/**
 * Runs the model in the engine and in onnxruntime on the same seeded random inputs. Untrainable is a model that onnxruntime refuses, that holds an
 * operator the engine lacks, whose outputs differ by more than `AGREEMENT` and than rounding explains, or none of whose weights a gradient reaches.
 */
export async function checkAgainstRuntime(bytes: Uint8Array, model: Model, loops = LOOP_LIMIT): Promise<Agreement> {
  try {
    const lowered = lowerModel(model);
    if (!lowered.ok) return { trainable: false, untrainable: [...lowered.untrainable] };
    try {
      return await check(bytes, model, lowered.network, loops);
    } finally {
      lowered.network.dispose();
    }
  } catch (error) {
    return refuse(...placeOf(error), error instanceof Error ? error.message : String(error));
  }
}

async function check(bytes: Uint8Array, model: Model, network: Network, loops: LoopLimit): Promise<Agreement> {
  if (network.parameters.length === 0) return withoutParameters(model, network);
  const other = findOtherValue(modelInputs(model.graph), model.graph);
  if (other) return { trainable: false, untrainable: [other] };
  const opened = await openRuntime(bytes, { threads: 2 });
  const runtime = holdsLoops(model) ? afterEngine(opened, network, loops) : opened;
  try {
    const feeds = (await randomInputs(model, runtime, SEED)).make(0, BATCH);
    const names = network.outputs.map(({ name }) => name);
    const results = await runBoth(network, runtime, feeds, names);
    const warnings = wronglyDeclared(model.graph.outputs, results.expected);
    const allowed = allowedDifference(model);
    const differing = firstDifference(results, names, () => allowed) && firstDifference(results, names, await rounding({ model, feeds }, network, names));
    const agreement = differing ? await blame(model, network, feeds, differing) : { trainable: true, untrainable: frozenNodes(network) };
    return warnings.length > 0 ? { ...agreement, warnings } : agreement;
  } finally {
    await runtime.release();
  }
}

function holdsLoops({ graph, functions }: Model): boolean {
  let found = false;
  const look = ({ opType }: Node): void => { found ||= opType === 'Loop' || opType === 'Scan'; };
  for (const nodes of [graph.nodes, ...functions.map(({ nodes }) => nodes)]) walkNodes({ ...graph, nodes }, look);
  return found;
}

/** A run of onnxruntime holds the whole thread and cannot be broken off: the engine tries the feeds first, and what breaks off there is not run. */
function afterEngine(runtime: Runtime, network: Network, loops: LoopLimit): Runtime {
  return {
    ...runtime,
    async run(feeds, fetch) {
      try {
        runEngine(network, feeds, [], loops);
      } catch (error) {
        if (isExhausted(error)) throw error; // all other errors are for onnxruntime to judge
      }
      return runtime.run(feeds, fetch);
    },
  };
}

/** Outputs that come out in another shape than the file declares: onnxruntime gives them all the same, and warns. Some exporters write 0 for an open size. */
function wronglyDeclared(outputs: readonly ValueInfo[], results: ReadonlyMap<string, RuntimeOutput>): ModelDescription['warnings'] {
  return outputs.flatMap(({ name, type }) => {
    const dims = results.get(name)?.dims;
    const declared = type?.shape;
    if (!dims || !declared) return [];
    const fits = declared.length === dims.length && declared.every((dim, axis) => typeof dim !== 'number' || dim === 0 || dim === dims[axis]);
    return fits ? [] : [{ code: 'declared-shape-differs', message: `Output "${printable(name)}" is declared [${declared.map((dim) => dim ?? '?').join(', ')}], but comes out as [${dims.join(', ')}]` }];
  });
}

interface Difference {
  readonly value: string;
  readonly reason: string;
}

interface Results {
  readonly expected: ReadonlyMap<string, RuntimeOutput>;
  readonly outputs: ReadonlyMap<string, HostTensor>;
}

async function runBoth(network: Network, runtime: Runtime, feeds: Feeds, names: readonly string[]): Promise<Results> {
  return { expected: await runtime.run(feeds, names), outputs: runEngine(network, feeds, names) };
}

/** By value, what it may differ by. */
type Allowance = (name: string) => number;

function firstDifference({ expected, outputs }: Results, names: readonly string[], allowance: Allowance): Difference | null {
  for (const name of names) {
    const want = expected.get(name);
    const got = outputs.get(name);
    if (!want || !got) continue;
    const off = relativeDifference(got, hostOf(want));
    if (off > allowance(name)) return { value: name, reason: describe(got, want, off, allowance(name)) };
  }
  return null;
}

/** What rounding may do to these values, for a model that gives them as outputs. The model as it was read is the measure, not the file. */
async function rounding(given: Trial, { parameters, state }: Network, names: readonly string[], options: RuntimeOptions = {}): Promise<Allowance> {
  const run = async ({ model, feeds }: Trial) => {
    const runtime = await openRuntime(writeOnnx(model), { threads: 2, ...options });
    return runtime.run(feeds, names).finally(() => runtime.release());
  };
  const still = await run(given);
  const moved = await roundingAllowance(given, [...parameters, ...state].map(({ name }) => name), async (nudged) => (
    new Map([...await run(nudged)].map(([name, output]) => [name, relativeDifference(hostOf(output), hostOf(still.get(name)!))]))));
  const least = allowedDifference(given.model);
  return (name) => Math.max(least, moved.get(name) ?? 0);
}

/** Float32's unit roundoff. */
const ROUNDOFF = 2 ** -24;

/**
 * Each operator rounds once, and errors that only add up grow with the longest chain of operators: beyond some 1,700 of them that is more than
 * `AGREEMENT` (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1).
 */
export function allowedDifference({ graph }: Model): number {
  const depths = new Map<string, number>();
  let deepest = 0;
  for (const node of topologicalOrder(graph)) {
    let depth = 1;
    for (const name of usedNames(node)) depth = Math.max(depth, 1 + (depths.get(name) ?? 0));
    for (const name of node.outputs) depths.set(name, depth);
    deepest = Math.max(deepest, depth);
  }
  return Math.max(AGREEMENT, deepest * ROUNDOFF);
}

function describe(got: HostTensor, want: RuntimeOutput, off: number, allowed: number): string {
  if (got.dims.join() !== want.dims.join()) return `the engine gives shape [${got.dims.join(', ')}], onnxruntime [${want.dims.join(', ')}]`;
  return `the engine differs from onnxruntime by ${off.toExponential(1)} of the output's range (${Number(allowed.toPrecision(2))} is allowed)`;
}

/** The node whose output differs first, found by comparing every value between the nodes. */
async function blame(model: Model, network: Network, feeds: Feeds, differing: Difference): Promise<Agreement> {
  const producers = new Map(topologicalOrder(model.graph).flatMap((node) => node.outputs.map((output): [string, Node] => [output, node])));
  const first = (await firstInside(model, network, feeds, producers).catch(() => null)) ?? differing;
  const node = producers.get(first.value);
  return refuse(node ? nodeLabel(node) : `output "${first.value}"`, node?.opType ?? '', first.reason);
}

async function firstInside(model: Model, network: Network, feeds: Feeds, producers: ReadonlyMap<string, Node>): Promise<Difference | null> {
  const types = inferShapes(model);
  const names = [...producers.keys()].filter((name) => name !== '' && isFloatTensor(types, name));
  const exposed = exposing(model, names, types);
  const options = { threads: 2, optimization: 'disabled' } as const;
  const runtime = await openRuntime(writeOnnx(exposed), options);
  try {
    return firstDifference(await runBoth(network, runtime, feeds, names), names, await rounding({ model: exposed, feeds }, network, names, options));
  } finally {
    await runtime.release();
  }
}

function isFloatTensor(types: TypeTable, name: string): boolean {
  const type = types.typeOf(name);
  return type !== null && isFloat(type.dtype);
}

/** The model with these values as outputs. */
function exposing(model: Model, names: readonly string[], types: TypeTable): Model {
  const known = new Set(model.graph.outputs.map(({ name }) => name));
  const more = names.filter((name) => !known.has(name)).map((name): ValueInfo => ({ name, type: { dtype: types.typeOf(name)!.dtype, shape: null } }));
  return { ...model, graph: { ...model.graph, outputs: [...model.graph.outputs, ...more] } };
}

function runEngine(network: Network, feeds: Feeds, fetch: readonly string[], loops?: LoopLimit): Map<string, HostTensor> {
  const results = new Map<string, HostTensor>();
  tf.tidy(() => {
    const { outputs } = network.run(new Map(network.inputs.map(({ name, type }) => [name, feedOf(feeds.get(name)!, type.dtype)])), { training: false, fetch, ...(loops && { loops }) });
    for (const [name, value] of outputs) results.set(name, value.kind === 'host' ? value.value : download(value.tensor, value.dtype));
  });
  return results;
}

/** Floats to the device, all else exact on the host. */
function feedOf(array: HostArray, dtype: DataType): Value {
  const host: HostTensor = { dtype: array.dtype as DataType, dims: array.shape, data: array.data };
  return isFloat(dtype) ? { kind: 'device', dtype, tensor: upload(host) } : { kind: 'host', value: { ...host, dtype, data: integers(host, dtype) } };
}

function integers(host: HostTensor, dtype: DataType): HostTensor['data'] {
  return dtype === host.dtype ? host.data : hostTensor(dtype, host.dims, hostNumbers(host)).data;
}

function hostOf({ dtype, dims, data }: RuntimeOutput): HostTensor {
  return { dtype: dtype as DataType, dims, data };
}

function withoutParameters(model: Model, network: Network): Agreement {
  if (network.frozen.length > 0) return { trainable: false, untrainable: frozenNodes(network) };
  const holder = model.graph.nodes.find((node) => subgraphs(node).some(({ graph }) => weights(graph).some(({ dtype }) => isFloat(dtype))));
  if (holder) return refuse(nodeLabel(holder), holder.opType, 'the weights lie in its subgraphs, where they are not trained (they can be cast, pruned and quantized)');
  return refuse('', '', 'the model holds no float weights that training could change');
}

/** Each node in the way of gradients once, with the number of weights it freezes. */
function frozenNodes(network: Network): UntrainableNode[] {
  const nodes = new Map<string, { operator: string; reason: string; count: number }>();
  for (const { node, reason } of network.frozen) {
    const known = nodes.get(node);
    if (known) known.count++;
    else nodes.set(node, { operator: operatorIn(node), reason, count: 1 });
  }
  return [...nodes].map(([node, { operator, reason, count }]) => ({ node, operator, reason: `${reason}: ${count} weight${count === 1 ? '' : 's'} before it cannot be trained` }));
}

function refuse(node: string, operator: string, reason: string): Agreement {
  return { trainable: false, untrainable: [{ node, operator, reason }] };
}

/** The node that an error names, and its operator. */
function placeOf(error: unknown): [node: string, operator: string] {
  const node = error instanceof LatheError ? (error.errors[0]?.path ?? '') : '';
  return [node, operatorIn(node)];
}

/** Of a node as messages call it. */
function operatorIn(label: string): string {
  return /\((\w+)\)$/.exec(label)?.[1] ?? '';
}
