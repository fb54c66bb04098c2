/** Checks that the engine computes what onnxruntime computes; a model where it does not is never trained. */
import type { ModelDescription, UntrainableNode } from '../../contracts/model.ts';
import { isExhausted } from '../../errors.ts';
import { readOnnx } from '../formats/onnx/read.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { modelInputs } from '../graph/describe.ts';
import { drawInBody, holdsDraws } from '../graph/draws.ts';
import { walkNodes } from '../ir/edit.ts';
import { nodeLabel, printable } from '../ir/graph-error.ts';
import { saturatingProducts } from '../graph/integer-products.ts';
import { unsignedWeights } from '../graph/passes/unsigned-weights.ts';
import type { Model, Node, ValueInfo } from '../ir/types.ts';
import { fixedBatch } from '../measure/inputs.ts';
import { randomInputs, type RandomInputs } from '../measure/random-inputs.ts';
import { openRuntime, RUNTIME, type Feeds, type Runtime, type RuntimeOutput } from '../measure/session.ts';
import { blame } from './blame.ts';
import { allowedDifference, firstDifference, rounding, type Results } from './differences.ts';
import { feedsWithDraws, withoutDraws } from './draws.ts';
import { runNetwork } from './run-network.ts';
import type { LoopLimit } from '../network/loop-limit.ts';
import { LazyNetwork } from '../network/lazy-network.ts';
import { lowerOrThrow, planModel } from '../network/lower.ts';
import type { NetworkParts } from '../network/network-parts.ts';
import type { Network } from '../network/network.ts';
import { findOtherValue } from './other-types.ts';
import type { Trial } from './rounding.ts';
import { frozenNodes, untrainableBy, withoutParameters } from './untrainable.ts';

const SEED = 20_231;
const BATCH = 2;
/**
 * Limit for loops whose end only a run can tell: upload and answer together may take ten seconds.
 */
const DEFAULT_LOOP_LIMIT: LoopLimit = { milliseconds: 2500, bytes: 2 ** 30 };

export interface Agreement {
  readonly trainable: boolean;
  readonly untrainable: UntrainableNode[];
  /** What the run showed about the file. */
  readonly warnings?: ModelDescription['warnings'];
}

export interface AgreementOptions {
  readonly loops?: LoopLimit;
  /** A session with the file open. Absent: opened from the bytes. */
  readonly runtime?: Promise<Runtime>;
  /**
   * Starts the engine, if it is not running, once onnxruntime has released the model: TensorFlow keeps memory that is
   * freed after its start.
   */
  readonly startEngine?: () => Promise<unknown>;
}

/**
 * Runs the model in onnxruntime and in the engine on the same seeded random inputs and draws, one after the other, so
 * that only one of them holds the weights. A model is untrainable if onnxruntime refuses it, the engine lacks an
 * operator, outputs differ by more than both `AGREEMENT` and rounding allow, or gradients reach none of its weights.
 */
export async function checkAgainstRuntime(
  bytes: Uint8Array,
  model: Model,
  options: AgreementOptions = {},
): Promise<Agreement> {
  try {
    const planned = planModel(model);
    if (!planned.ok) return refuse(...planned.untrainable);
    const { parts } = planned;
    if (parts.weights.size === 0) return refuse(...withoutParameters(model, parts));
    const other = findOtherValue(modelInputs(model.graph), model.graph);
    if (other) return refuse(other);
    const { differing, warnings } = await check(
      parts,
      saturatingProducts(model.graph).length > 0
        ? await multipliedExactly(bytes, model, options)
        : { bytes, model, options },
    );
    const agreement = differing
      ? refuse(hiddenDraw(model) ?? differing)
      : { trainable: true, untrainable: frozenNodes(parts) };
    return warnings.length > 0 ? { ...agreement, warnings } : agreement;
  } catch (error) {
    return refuse(untrainableBy(error));
  }
}

interface Candidate {
  /** ONNX. */
  readonly bytes: Uint8Array;
  readonly model: Model;
  readonly options: AgreementOptions;
}

/**
 * Rewrites products that onnxruntime computes with saturation on some processors (graph/saturation.ts) to a form that
 * it computes exactly, as the engine does.
 */
async function multipliedExactly(
  bytes: Uint8Array,
  model: Model,
  { runtime, ...options }: AgreementOptions,
): Promise<Candidate> {
  await runtime?.then((opened) => opened.release());
  return { bytes: writeOnnx(unsignedWeights(readOnnx(bytes))), model: unsignedWeights(model), options };
}

const refuse = (...untrainable: UntrainableNode[]): Agreement => ({ trainable: false, untrainable });

interface Outcome {
  /** null: the same. */
  readonly differing: UntrainableNode | null;
  readonly warnings: ModelDescription['warnings'];
}

async function check(
  parts: NetworkParts,
  { bytes, model, options: { loops = DEFAULT_LOOP_LIMIT, runtime, startEngine } }: Candidate,
): Promise<Outcome> {
  const lowered = new LazyNetwork(parts, startEngine);
  try {
    const opened = await (runtime ?? openRuntime(bytes, { threads: 2 }));
    const { feeds, expected, warnings } = await runRuntime(
      holdsLoops(model) ? afterEngine(opened, await lowered.get(), loops) : opened,
      model,
    );
    const outcome = expected
      ? await compare({ model, feeds }, await lowered.get(), expected)
      : await compareDrawn(bytes, { model, feeds }, startEngine);
    return { ...outcome, warnings: [...outcome.warnings, ...warnings] };
  } finally {
    lowered.dispose();
  }
}

type Outputs = Results['expected'];

interface RuntimeRun {
  readonly feeds: Feeds;
  /** null where the model draws random numbers: its outputs could not be compared. */
  readonly expected: Outputs | null;
  readonly warnings: ModelDescription['warnings'];
}

/** Finds inputs that the model takes and runs onnxruntime on them, then closes the session. */
async function runRuntime(runtime: Runtime, model: Model): Promise<RuntimeRun> {
  try {
    const inputs = await randomInputs(model, runtime, SEED);
    const feeds = inputs.make(0, Math.max(inputs.minSamples, Math.min(BATCH, inputs.maxSamples)));
    return {
      feeds,
      expected: holdsDraws(model) ? null : await runtime.run(feeds, outputNames(model)),
      warnings: [...newerThanRuntime(runtime, model), ...fixedInside(runtime, inputs)],
    };
  } finally {
    await runtime.release();
  }
}

/** Warns that the file's versions are later than those its figures are measured with. */
function newerThanRuntime({ isOlder }: Runtime, { opsets, irVersion }: Model): ModelDescription['warnings'] {
  if (!isOlder) return [];
  const message =
    `The file is of opset ${opsets.get('') ?? '?'} and IR version ${irVersion}, newer than what ${RUNTIME} reads: ` +
    'it is run and measured as one of the newest that it does, which its operators are computed the same in. ' +
    'Whoever runs it needs a later onnxruntime';
  return [{ code: 'newer-than-runtime', message }];
}

/** Warns of a batch size that the file declares open, but its operators fix. */
function fixedInside({ inputs }: Runtime, { minSamples, maxSamples }: RandomInputs): ModelDescription['warnings'] {
  if (fixedBatch(inputs) !== null || minSamples !== maxSamples || minSamples < 2) return [];
  return [
    {
      code: 'batch-size-fixed',
      message: `The file leaves the batch size open, but runs with batches of ${minSamples} only`,
    },
  ];
}

const outputNames = ({ graph }: Model): string[] => graph.outputs.map(({ name }) => name);

async function compare(given: Trial, network: Network, expected: Outputs): Promise<Outcome> {
  const { model, feeds } = given;
  const names = outputNames(model);
  const results = { expected, outputs: runNetwork(network, feeds, names) };
  const allowed = allowedDifference(model);
  const differing =
    firstDifference(results, names, () => allowed) &&
    firstDifference(results, names, await rounding(given, network, names));
  return {
    differing: differing && (await blame(model, network, feeds, differing)),
    warnings: wronglyDeclared(model.graph.outputs, expected),
  };
}

async function compareDrawn(
  bytes: Uint8Array,
  { model, feeds }: Trial,
  startEngine: AgreementOptions['startEngine'],
): Promise<Outcome> {
  const file = readOnnx(bytes);
  const drawn = { model: withoutDraws(model), feeds: await feedsWithDraws({ model: file, feeds }) };
  const runtime = await openRuntime(writeOnnx(withoutDraws(file)), { threads: 2 });
  const expected = await runtime.run(drawn.feeds, outputNames(drawn.model)).finally(() => runtime.release());
  await startEngine?.();
  const network = lowerOrThrow(drawn.model);
  try {
    return await compare(drawn, network, expected);
  } finally {
    network.dispose();
  }
}

/** A node whose draws cannot become inputs, since it lies in a branch or loop. */
function hiddenDraw({ graph }: Model): UntrainableNode | null {
  const node = drawInBody(graph);
  return (
    node && {
      node: nodeLabel(node),
      operator: node.opType,
      reason: 'it draws random numbers inside a branch or loop, so that no two runs can be compared',
    }
  );
}

function holdsLoops({ graph, functions }: Model): boolean {
  let found = false;
  const look = ({ opType }: Node): void => {
    found ||= opType === 'Loop' || opType === 'Scan';
  };
  for (const nodes of [graph.nodes, ...functions.map(({ nodes }) => nodes)]) walkNodes({ ...graph, nodes }, look);
  return found;
}

/**
 * A run of onnxruntime blocks the thread and cannot be broken off, so the engine runs the feeds first; where it exceeds
 * the limit, onnxruntime does not run.
 */
function afterEngine(runtime: Runtime, network: Network, loops: LoopLimit): Runtime {
  return {
    ...runtime,
    async run(feeds, fetch) {
      try {
        runNetwork(network, feeds, [], loops);
      } catch (error) {
        if (isExhausted(error)) throw error; // all other errors are for onnxruntime to judge
      }
      return runtime.run(feeds, fetch);
    },
  };
}

/**
 * Warns of outputs whose shape is not the declared one; onnxruntime returns them too, with a warning. Some exporters
 * write 0 for an open size.
 */
function wronglyDeclared(
  outputs: readonly ValueInfo[],
  results: ReadonlyMap<string, RuntimeOutput>,
): ModelDescription['warnings'] {
  return outputs.flatMap(({ name, type }) => {
    const dims = results.get(name)?.dims;
    const declared = type?.shape;
    if (!dims || !declared) return [];
    const fits =
      declared.length === dims.length &&
      declared.every((dim, axis) => typeof dim !== 'number' || dim === 0 || dim === dims[axis]);
    if (fits) return [];
    const shape = declared.map((dim) => dim ?? '?').join(', ');
    const message = `Output "${printable(name)}" is declared [${shape}], but comes out as [${dims.join(', ')}]`;
    return [{ code: 'declared-shape-differs', message }];
  });
}
