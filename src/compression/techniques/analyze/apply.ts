import { LatheError } from '../../../errors.ts';
import type { Sensitivity } from '../../../contracts/report.ts';
import { predictionOutput } from '../../data/match.ts';
import { writeOnnx } from '../../formats/onnx/write.ts';
import { countMacs } from '../../graph/describe.ts';
import { elementAt } from '../../ir/checked-access.ts';
import { elementCount } from '../../ir/tensor-data.ts';
import type { Model } from '../../ir/types.ts';
import { accuracyMeter } from '../../measure/accuracy.ts';
import { fidelityMeter } from '../../measure/fidelity.ts';
import { withRuntime } from '../../measure/session.ts';
import { replaceWeights, type KernelWeight } from '../kernel-weights.ts';
import { layerMatcher } from '../layer-filter.ts';
import type { ModelState } from '../../step/model-state.ts';
import type { StepContext } from '../../step/step-context.ts';
import { referenceSamples, type ReferenceSamples } from './inputs.ts';
import { dropOf, metricOf, noiseOf, type Verdict } from './metric.ts';
import type { AnalyzeParameters } from './spec.ts';
import { applyTrial, triedWeights, trialsOf, type Trial } from './trials.ts';

/** For all trials together: about ten minutes on one core. */
const MAX_MACS = 1e13;
const MIN_SAMPLES = 16;

/** Tries every layer in every way and records the cost. Returns the state unchanged. */
export async function apply(
  state: ModelState,
  parameters: AnalyzeParameters,
  context: StepContext,
): Promise<ModelState> {
  context.signal.throwIfAborted();
  const { model } = state;
  const matches = layerMatcher(parameters.layers);
  const all = triedWeights(model);
  const weights = all.filter(({ names }) => matches(names));
  if (weights.length === 0) {
    context.warn(
      'nothing-to-analyze',
      all.length === 0
        ? 'The model has no float kernels'
        : `No layer matches ${JSON.stringify(parameters.layers)}; there are ` +
            all.map(({ name }) => `"${name}"`).join(', '),
    );
    return state;
  }
  const trials = trialsOf(parameters);
  const inputs = await withRuntime(writeOnnx(model), (runtime) =>
    referenceSamples(
      model,
      runtime,
      sampleBudget(model, weights.length * trials.length, parameters.samples, context),
      context,
    ),
  );
  if (inputs.samples === 0)
    throw new LatheError('dataset-required', 'analyze found no samples: the training split is empty');
  const untouched = await verdictOn(model, inputs, context.signal);
  const layers = await tryAll(model, weights, trials, { inputs, untouched, context });
  context.record({ sensitivity: summary({ layers, trials, untouched, inputs, parameters }) });
  return state;
}

/** Samples per trial that keep the whole within `MAX_MACS`. */
function sampleBudget(model: Model, runs: number, wanted: number, context: StepContext): number {
  const macs = countMacs(model);
  const maxSamples = macs ? Math.max(MIN_SAMPLES, Math.floor(MAX_MACS / (macs * (runs + 1)))) : wanted;
  if (maxSamples < wanted)
    context.warn(
      'fewer-samples',
      `Each of ${runs} trials runs ${maxSamples} samples instead of ${wanted}: ` +
        `a sample takes ${macs} multiply-accumulates`,
    );
  return Math.min(maxSamples, wanted);
}

interface Analysis {
  readonly inputs: ReferenceSamples;
  readonly untouched: Verdict;
  readonly context: StepContext;
}

type Layers = Sensitivity['layers'];

/** The most sensitive first; on ties, the one whose outputs change most. */
async function tryAll(
  model: Model,
  weights: readonly KernelWeight[],
  trials: readonly Trial[],
  { inputs, untouched, context }: Analysis,
): Promise<Layers> {
  const metric = metricOf(untouched);
  const found: { layer: Layers[number]; noise: number }[] = [];
  for (const [index, weight] of weights.entries()) {
    const tried: Layers[number]['trials'] = [];
    let noise = 0;
    for (const [i, trial] of trials.entries()) {
      const verdict = await verdictOn(
        replaceWeights(model, new Map([[weight.place, applyTrial(weight, trial)]])),
        inputs,
        context.signal,
      );
      noise = Math.max(noise, noiseOf(verdict.fidelity));
      tried.push({ ...trial, drop: dropOf(metric, untouched, verdict), ...figures(verdict) });
      context.report({ progress: (index + (i + 1) / trials.length) / weights.length });
    }
    const nodes = weight.names.filter((name) => name !== '' && name !== weight.name);
    found.push({
      noise,
      layer: {
        weight: weight.name,
        nodes,
        parameters: elementCount(weight.tensor.dims),
        drop: Math.max(...tried.map(({ drop }) => drop)),
        trials: tried,
      },
    });
  }
  return found.sort((a, b) => b.layer.drop - a.layer.drop || b.noise - a.noise).map(({ layer }) => layer);
}

const figures = ({ accuracy, fidelity }: Verdict) => ({
  top1: accuracy?.top1 ?? null,
  loss: accuracy?.loss ?? null,
  top1Agreement: fidelity.top1Agreement,
  sqnrDb: fidelity.sqnrDb,
});

/** Runs a variant of the model on all samples, in onnxruntime. */
async function verdictOn(model: Model, { batches, data }: ReferenceSamples, signal: AbortSignal): Promise<Verdict> {
  signal.throwIfAborted();
  return withRuntime(writeOnnx(model), async (runtime) => {
    const [accuracy, fidelity] = [accuracyMeter(), fidelityMeter()];
    const answer = predictionOutput(runtime.outputs.filter(({ name }) => runtime.outputNames.includes(name)))?.name;
    for (const { batch, rows, outputs } of batches) {
      signal.throwIfAborted();
      const own = await runtime.run(batch.inputs);
      fidelity.add(outputs, own, batch.size, rows);
      const scores = answer === undefined ? undefined : own.get(answer);
      if (batch.target && scores) accuracy.add(scores, batch.target, batch.size);
    }
    return { accuracy: accuracy.result(data), fidelity: fidelity.result() };
  });
}

interface SummaryInput {
  readonly layers: Layers;
  readonly trials: readonly Trial[];
  readonly untouched: Verdict;
  readonly inputs: ReferenceSamples;
  readonly parameters: AnalyzeParameters;
}

function summary({
  layers,
  trials,
  untouched,
  inputs: { samples, data },
  parameters: { tolerance },
}: SummaryInput): Sensitivity {
  const { accuracy } = untouched;
  const recommendations = trials.map(({ kind, sparsity }, i) => ({
    kind,
    sparsity,
    exclude: layers.filter((layer) => elementAt(layer.trials, i, 'trial').drop > tolerance).map(({ weight }) => weight),
  }));
  return {
    metric: metricOf(untouched),
    baseline: accuracy && { top1: accuracy.top1, loss: accuracy.loss },
    samples,
    data,
    tolerance,
    layers,
    recommendations,
  };
}
