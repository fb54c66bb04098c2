/** int8 of weights and activations by calibrated ranges (Jacob et al. 2018): plan, observe, choose ranges, write. */
import { datasetFeeds, randomInputs, runBatchSize, sampleOf } from '../../../measure/inputs.ts';
import { fidelityMeter } from '../../../measure/fidelity.ts';
import { openRuntime, type Feeds } from '../../../measure/session.ts';
import { writeOnnx } from '../../../formats/onnx/write.ts';
import type { Model } from '../../../graph/types.ts';
import { layerMatcher } from '../../layer-filter.ts';
import type { StepContext } from '../../technique.ts';
import type { ValueRange } from '../scheme.ts';
import type { QuantizeParameters } from '../spec.ts';
import { observe, type Observed, type Passes } from './observe.ts';
import { planStatic, type StaticPlan } from './plan.ts';
import { rangeOf, RANGE_METHODS, type RangeMethod } from './ranges.ts';
import { writePlan } from './rewrite.ts';

/** Samples per run while observing. */
const RUN_SAMPLES = 16;
/** Random samples where there are no data. */
const RANDOM_SAMPLES = 16;
/** Runs on which `auto` compares the methods. */
const COMPARED_RUNS = 8;

/** The model with integer kernels; unchanged where it has nothing that gains from them. `model` is prepared (prepare.ts). */
export async function quantizeStatic(model: Model, parameters: QuantizeParameters, context: StepContext): Promise<Model> {
  const plan = planStatic(model.graph, layerMatcher(parameters.layers));
  if (plan.nodes.size === 0) return model;
  const passes = await calibrationInputs(model, parameters, context);
  const { method } = parameters.calibration;
  const observed = await observeValues(model, plan, passes, method !== 'min-max', context);
  const ranges = (chosen: RangeMethod) => new Map([...observed].map(([name, seen]): [string, ValueRange] => [name, rangeOf(seen, chosen)]));
  if (method !== 'auto') return writePlan(model, plan, ranges(method), parameters);
  const candidates = RANGE_METHODS.map((name) => writePlan(model, plan, ranges(name), parameters));
  return candidates[await closest(model, candidates, passes, context.signal)]!;
}

async function observeValues(model: Model, plan: StaticPlan, passes: Passes, histograms: boolean, context: StepContext): Promise<Map<string, Observed>> {
  const names = [...new Set(plan.scaleOf.values())];
  let runs = 0;
  let expected = 0;
  for await (const _feeds of passes()) {
    context.signal.throwIfAborted();
    expected += histograms ? 2 : 1;
  }
  return observe(model, names, passes, { histograms, signal: context.signal, onRun: () => context.report({ progress: (0.8 * ++runs) / expected }) });
}

/** Training samples (never those of the test split), or random inputs with a warning. */
async function calibrationInputs(model: Model, parameters: QuantizeParameters, context: StepContext): Promise<Passes> {
  const runtime = await openRuntime(writeOnnx(model));
  try {
    const split = context.dataset?.split('train');
    if (!split || split.length === 0) {
      context.warn('calibrated-on-random-inputs', 'Without a dataset the activations\' ranges come from random inputs: accuracy can suffer. Give samples (labels are not needed), or use method weight-only');
      const random = await randomInputs(model, runtime, context.seed);
      const batch = runBatchSize(runtime.inputs, 1);
      const count = Math.max(1, Math.min(parameters.calibration.samples, RANDOM_SAMPLES));
      return async function* () { for (let i = 0; i < count; i++) yield random.make(i, batch); };
    }
    const { inputs } = runtime;
    const samples = sampleOf(split, parameters.calibration.samples, context.seed);
    return async function* (): AsyncGenerator<Feeds> { for await (const batch of datasetFeeds(samples, inputs, context.transform, RUN_SAMPLES)) yield batch.inputs; };
  } finally {
    await runtime.release();
  }
}

/** Index of the candidate whose outputs are nearest to the float model's (SQNR) on some of the calibration inputs. */
async function closest(model: Model, candidates: readonly Model[], passes: Passes, signal: AbortSignal): Promise<number> {
  const runtimes = [];
  try {
    for (const candidate of [model, ...candidates]) runtimes.push(await openRuntime(writeOnnx(candidate)));
    const meters = candidates.map(() => fidelityMeter());
    let runs = 0;
    for await (const feeds of passes()) {
      signal.throwIfAborted();
      const rows = [...feeds.values()][0]?.shape[0] ?? 1;
      const reference = await runtimes[0]!.run(feeds);
      for (const [i, meter] of meters.entries()) meter.add(reference, await runtimes[i + 1]!.run(feeds), rows, rows);
      if (++runs === COMPARED_RUNS) break;
    }
    const quality = meters.map((meter) => meter.result().sqnrDb ?? Infinity);
    return quality.indexOf(Math.max(...quality));
  } finally {
    for (const runtime of runtimes) await runtime.release();
  }
}
