/** int8 of weights and activations by calibrated ranges (Jacob et al. 2018): plan, observe, choose ranges, write. */
import { fidelityMeter, type FidelityMeter } from '../../../measure/fidelity.ts';
import { rowsOf } from '../../../measure/inputs.ts';
import { processor } from '../../../measure/processor.ts';
import { openRuntime, type Runtime } from '../../../measure/session.ts';
import { writeOnnx } from '../../../formats/onnx/write.ts';
import { elementAt, entryOf, inputName } from '../../../ir/checked-access.ts';
import { elementCount } from '../../../ir/tensor-data.ts';
import type { Model, Node } from '../../../ir/types.ts';
import { layerMatcher } from '../../layer-filter.ts';
import type { StepContext } from '../../../step/step-context.ts';
import { observationInputs } from '../inputs.ts';
import type { ValueRange } from '../../../weights/affine.ts';
import type { QuantizeParameters } from '../spec.ts';
import { maySaturate, type Target } from '../targets.ts';
import { tableCosts, tablesOf } from './costs/costs.ts';
import { timedCosts } from './costs/timed.ts';
import { observe, type Observation, type Passes } from './observe.ts';
import { fasterPlan } from './profit.ts';
import { planStatic, type StaticPlan } from './plan.ts';
import { poolsBeforeClamps } from './pools.ts';
import { rangeOf, RANGE_METHODS, type RangeMethod } from './ranges.ts';
import { writePlan } from './rewrite.ts';

/** Samples on which `auto` compares the methods. */
const COMPARED_SAMPLES = 64;
const COMPARED_BATCH = 8;
/** Fewer say little about the largest values: with 6 samples of tabular data, 40 dB dropped to a few. */
const MIN_SAMPLES = 32;

/** The model with integer kernels; unchanged if no layer gains from them. `model` is prepared (prepare.ts). */
export async function quantizeStatic(
  model: Model,
  parameters: QuantizeParameters,
  context: StepContext,
): Promise<Model> {
  const selected = layerMatcher(parameters.layers);
  const planWithout = (excluded: ReadonlySet<Node>) =>
    planStatic(model.graph, (node) => !excluded.has(node) && selected([node.name, ...node.inputs]));
  const first = planWithout(new Set());
  if (first.nodes.size === 0) return model;
  const { method, samples } = parameters.calibration;
  const passes = await observationInputs(model, samples, context);
  warnOfCalibration(passes, context);
  const { values, shapes } = await observeValues(model, first, { passes, histograms: method !== 'min-max', context });
  const plan =
    parameters.where === 'everywhere'
      ? first
      : await faster(model, first, planWithout, { shapes, target: parameters.target, signal: context.signal });
  warnOfFloats(first, plan, context);
  if (plan.nodes.size === 0) return model;
  // A value that took its scale from a mover's input may now have its own: the mover's input was observed.
  const seen = (name: string) =>
    values.get(name) ?? entryOf(values, entryOf(first.scaleOf, name, 'scale of'), 'observed value');
  const ranges = (chosen: RangeMethod): [string, ValueRange][] =>
    [...new Set(plan.scaleOf.values())].map((name) => [name, rangeOf(seen(name), chosen)]);
  const arranged = poolsBeforeClamps(model, plan);
  const settings = { ...parameters, mayRunSaturating: await maySaturate(parameters.target) };
  const withRanges = (chosen: RangeMethod) => writePlan(arranged, plan, new Map(ranges(chosen)), settings);
  if (method !== 'auto') return withRanges(method);
  const candidates = RANGE_METHODS.map(withRanges);
  return closest(model, candidates, passes, context.signal);
}

function warnOfCalibration(
  { random, samples }: { readonly random: boolean; readonly samples: number },
  context: StepContext,
): void {
  if (random)
    context.warn(
      'calibrated-on-random-inputs',
      "Without a dataset the activations' ranges come from random inputs: accuracy can suffer. " +
        'Give samples (labels are not needed), or use method weight-only',
    );
  else if (samples < MIN_SAMPLES)
    context.warn(
      'few-calibration-samples',
      `The activations' ranges come from ${samples} sample${samples === 1 ? '' : 's'}; ` +
        `what lies beyond them is cut off. Give ${MIN_SAMPLES} or more (labels are not needed), ` +
        'or use method weight-only',
    );
}

/** The plan without the layers that integers would make slower on the target. */
async function faster(
  model: Model,
  plan: StaticPlan,
  planWithout: (excluded: ReadonlySet<Node>) => StaticPlan,
  { shapes, target, signal }: Pick<Observation, 'shapes'> & { readonly target: Target; readonly signal: AbortSignal },
): Promise<StaticPlan> {
  const sizeOf = (name: string) => {
    const shape = shapes.get(name);
    return shape ? elementCount(shape) : 0;
  };
  const tables = tablesOf(target, processor().instructionSets);
  const costs = tables.length > 0 ? tableCosts(tables) : await timedCosts(model, plan, shapes, signal);
  return fasterPlan({ graph: model.graph, sizeOf, costs }, plan, planWithout);
}

function warnOfFloats(first: StaticPlan, plan: StaticPlan, context: StepContext): void {
  const kernels = [...first.nodes.values()].filter(({ kind }) => kind === 'kernel');
  const left = kernels.filter(({ node }) => !plan.nodes.has(node));
  const [example] = left;
  if (!example) return;
  const { node, output } = example;
  context.warn(
    'kept-in-float',
    `${left.length} of ${kernels.length} layers compute in float, since integers would be slower there (first ` +
      `"${node.name || output}"); their weights are stored as int8`,
  );
}

interface ObservedRun {
  readonly passes: Passes;
  readonly histograms: boolean;
  readonly context: StepContext;
}

function observeValues(
  model: Model,
  plan: StaticPlan,
  { passes, histograms, context }: ObservedRun,
): Promise<Observation> {
  const sized = [...plan.nodes.values()].flatMap(({ node, activations, output }) => [
    ...activations.map((i) => inputName(node, i)),
    output,
  ]);
  return observe(model, [...new Set(plan.scaleOf.values())], passes, {
    histograms,
    sized,
    signal: context.signal,
    onProgress: (share) => context.report({ progress: 0.8 * share }),
  });
}

/** The candidate whose outputs are nearest to the float model's (SQNR) on some of the calibration inputs. */
async function closest(
  model: Model,
  candidates: readonly Model[],
  passes: Passes,
  signal: AbortSignal,
): Promise<Model> {
  const float = await openRuntime(writeOnnx(model));
  const measured: { readonly model: Model; readonly runtime: Runtime; readonly meter: FidelityMeter }[] = [];
  try {
    for (const candidate of candidates)
      measured.push({ model: candidate, runtime: await openRuntime(writeOnnx(candidate)), meter: fidelityMeter() });
    let samples = 0;
    for await (const feeds of passes.feeds(COMPARED_BATCH)) {
      signal.throwIfAborted();
      const rows = rowsOf(feeds) ?? 1;
      const reference = await float.run(feeds);
      for (const { runtime, meter } of measured) meter.add(reference, await runtime.run(feeds), rows, rows);
      if ((samples += rows) >= COMPARED_SAMPLES) break;
    }
    const quality = measured.map(({ meter }) => meter.result().sqnrDb ?? Infinity);
    return elementAt(candidates, quality.indexOf(Math.max(...quality)), 'candidate');
  } finally {
    for (const runtime of [float, ...measured.map(({ runtime }) => runtime)]) await runtime.release();
  }
}
