/** Whether the engine computes what onnxruntime computes; a model where it does not is never trained. */
import type { ModelDescription, UntrainableNode } from '../../contracts/model.ts';
import { isExhausted } from '../../errors.ts';
import { readOnnx } from '../formats/onnx/read.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { modelInputs } from '../graph/describe.ts';
import { drawInBody, holdsDraws } from '../graph/draws.ts';
import { walkNodes } from '../graph/edit.ts';
import { nodeLabel, printable } from '../graph/graph-error.ts';
import type { Model, Node, ValueInfo } from '../graph/types.ts';
import { fixedBatch } from '../measure/inputs.ts';
import { randomInputs, type RandomInputs } from '../measure/random-inputs.ts';
import { openRuntime, type Runtime, type RuntimeOutput } from '../measure/session.ts';
import { blame } from './blame.ts';
import { allowedDifference, firstDifference, rounding, runBoth } from './differences.ts';
import { feedsWithDraws, withoutDraws } from './draws.ts';
import { runEngine } from './engine-run.ts';
import type { LoopLimit } from './loop-limit.ts';
import { lowerModel, lowerOrThrow } from './lower.ts';
import type { Network } from './network.ts';
import { findOtherValue } from './other-types.ts';
import type { Trial } from './rounding.ts';
import { frozenNodes, untrainableBy, withoutParameters } from './untrainable.ts';

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
 * Runs the model in the engine and in onnxruntime on the same seeded random inputs, and with the same draws where it draws any. Untrainable is a model that onnxruntime refuses, that holds an
 * operator the engine lacks, whose outputs differ by more than `AGREEMENT` and than rounding explains, or none of whose weights a gradient reaches.
 */
export async function checkAgainstRuntime(bytes: Uint8Array, model: Model, loops = LOOP_LIMIT): Promise<Agreement> {
  try {
    const lowered = lowerModel(model);
    if (!lowered.ok) return refuse(...lowered.untrainable);
    try {
      return await check(bytes, model, lowered.network, loops);
    } finally {
      lowered.network.dispose();
    }
  } catch (error) {
    return refuse(untrainableBy(error));
  }
}

const refuse = (...untrainable: UntrainableNode[]): Agreement => ({ trainable: false, untrainable });

async function check(bytes: Uint8Array, model: Model, network: Network, loops: LoopLimit): Promise<Agreement> {
  if (network.parameters.length === 0) return refuse(...withoutParameters(model, network));
  const other = findOtherValue(modelInputs(model.graph), model.graph);
  if (other) return refuse(other);
  const opened = await openRuntime(bytes, { threads: 2 });
  const runtime = holdsLoops(model) ? afterEngine(opened, network, loops) : opened;
  try {
    const inputs = await randomInputs(model, runtime, SEED);
    const feeds = inputs.make(0, Math.max(inputs.least, Math.min(BATCH, inputs.most)));
    const { differing, ...outcome } = holdsDraws(model) ? await compareDrawn(bytes, { model, feeds }) : await compare({ model, feeds }, network, runtime);
    const agreement = differing ? refuse(hiddenDraw(model) ?? differing) : { trainable: true, untrainable: frozenNodes(network) };
    const warnings = [...outcome.warnings, ...fixedInside(runtime, inputs)];
    return warnings.length > 0 ? { ...agreement, warnings } : agreement;
  } finally {
    await runtime.release();
  }
}

/** A batch that the file declares open and that its operators fix all the same. */
function fixedInside({ inputs }: Runtime, { least, most }: RandomInputs): ModelDescription['warnings'] {
  if (fixedBatch(inputs) !== null || least !== most || least < 2) return [];
  return [{ code: 'batch-size-fixed', message: `The file leaves the batch size open, but runs with batches of ${least} only` }];
}

interface Outcome {
  /** null: the same. */
  readonly differing: UntrainableNode | null;
  readonly warnings: ModelDescription['warnings'];
}

async function compare(given: Trial, network: Network, runtime: Runtime): Promise<Outcome> {
  const { model, feeds } = given;
  const names = network.outputs.map(({ name }) => name);
  const results = await runBoth(network, runtime, feeds, names);
  const allowed = allowedDifference(model);
  const differing = firstDifference(results, names, () => allowed) && firstDifference(results, names, await rounding(given, network, names));
  return { differing: differing && await blame(model, network, feeds, differing), warnings: wronglyDeclared(model.graph.outputs, results.expected) };
}

async function compareDrawn(bytes: Uint8Array, { model, feeds }: Trial): Promise<Outcome> {
  const file = readOnnx(bytes);
  const drawn = { model: withoutDraws(model), feeds: await feedsWithDraws({ model: file, feeds }) };
  const network = lowerOrThrow(drawn.model);
  try {
    const runtime = await openRuntime(writeOnnx(withoutDraws(file)), { threads: 2 });
    return await compare(drawn, network, runtime).finally(() => runtime.release());
  } finally {
    network.dispose();
  }
}

/** A node whose draws nothing outside its branch or loop can stand in for. */
function hiddenDraw({ graph }: Model): UntrainableNode | null {
  const node = drawInBody(graph);
  return node && { node: nodeLabel(node), operator: node.opType, reason: 'it draws random numbers inside a branch or loop, so that no two runs can be compared' };
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
