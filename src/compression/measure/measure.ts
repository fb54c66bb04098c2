/** Everything a report says about a model, measured on the file itself in onnxruntime, beside the original. */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Transform } from '../../contracts/job-request.ts';
import type { Fidelity, Latency, Measures } from '../../contracts/report.ts';
import { LatheError } from '../../errors.ts';
import type { Batch, Dataset, Split, SplitName } from '../data/dataset.ts';
import { predictionOutput } from '../data/match.ts';
import { readOnnx } from '../formats/onnx/read.ts';
import { countMacs } from '../graph/describe.ts';
import { elementAt } from '../ir/checked-access.ts';
import type { Model } from '../ir/types.ts';
import { countWeights } from '../graph/weights.ts';
import { accuracyMeter } from './accuracy.ts';
import { exactComparison, integerArithmetic, type IntegerArithmetic } from './exact-arithmetic.ts';
import { fidelityMeter, type Outputs, type PlainFidelity } from './fidelity.ts';
import { fixedBatch, rowsOf, sampleOf, workingFeeds } from './inputs.ts';
import { measureLatency } from './latency.ts';
import { randomInputs } from './random-inputs.ts';
import { openRuntime, type Feeds, type Runtime } from './session.ts';

export interface MeasureRequest {
  readonly original: Uint8Array;
  readonly candidates: readonly Uint8Array[];
  /** Further models; their latency is not measured. */
  readonly untimed?: readonly Uint8Array[];
  /** null: fidelity and latency on random inputs, no accuracy. */
  readonly dataset: Dataset | null;
  readonly transform: Transform;
  readonly seed: number;
  /** Threads of the runtime while outputs are compared; default 1. */
  readonly threads?: number;
  /** Time for the measured runs of all models together; default 1.5 s each. */
  readonly latencyBudgetMs?: number;
  readonly signal?: AbortSignal;
}

/** Test samples that are run; larger test splits are sampled by seed. */
const MAX_SAMPLES = 10_000;
/**
 * Random samples where there is no dataset. Heavy models get fewer, about 10 GMACs in all: a second or two per file.
 */
const RANDOM_MACS = 1e10;
const [MIN_RANDOM, MAX_RANDOM] = [4, 128];
/**
 * Latency is measured on one thread: waking more takes as long as a small model's layers, and other load on the machine
 * would disturb the figures.
 */
const LATENCY_THREADS = 1;

/** Measures of the original (index 0), of each candidate and of the untimed ones, in order. */
export async function measureModels(request: MeasureRequest): Promise<Measures[]> {
  const timed = [request.original, ...request.candidates];
  const files = [...timed, ...(request.untimed ?? [])];
  const models = files.map((bytes) => readOnnx(bytes));
  const original = elementAt(models, 0, 'model');
  const arithmetic = models.map((model) => integerArithmetic(model));
  const exactFiles = arithmetic.flatMap(({ exactFile }) => exactFile ?? []);
  const compared = await withRuntimes([...files, ...exactFiles], request.threads ?? 1, (runtimes) =>
    compareOutputs(request, original, runtimes, arithmetic),
  );
  const latencies = await withRuntimes(timed, LATENCY_THREADS, (runtimes) =>
    timeModels(request, runtimes, compared.sample),
  );
  const statics = await Promise.all(models.map((model, i) => staticMeasures(elementAt(files, i, 'file'), model)));
  return statics.map((measures, i) => ({
    ...measures,
    ...elementAt(compared.results, i, 'result'),
    latencyMs: latencies[i] ?? null,
  }));
}

async function withRuntimes<T>(
  files: readonly Uint8Array[],
  threads: number,
  use: (runtimes: readonly Runtime[]) => Promise<T>,
): Promise<T> {
  const runtimes: Runtime[] = [];
  try {
    for (const bytes of files) runtimes.push(await openRuntime(bytes, { threads }));
    return await use(runtimes);
  } finally {
    for (const runtime of runtimes) await runtime.release();
  }
}

async function staticMeasures(
  bytes: Uint8Array,
  model: Model,
): Promise<Pick<Measures, 'sizeBytes' | 'gzipBytes' | 'parameters' | 'nonZero' | 'macs'>> {
  const gzipped = await promisify(gzip)(bytes, { level: 9 });
  return { sizeBytes: bytes.length, gzipBytes: gzipped.length, ...countWeights(model.graph), macs: countMacs(model) };
}

interface Compared {
  readonly results: Pick<Measures, 'accuracy' | 'fidelity'>[];
  /** Inputs of one run of the latency measurement. */
  readonly sample: Feeds;
}

/**
 * Runs all models batch by batch, so that no outputs are kept.
 * @param opened first the files, then their exact forms
 */
async function compareOutputs(
  request: MeasureRequest,
  original: Model,
  opened: readonly Runtime[],
  arithmetic: readonly IntegerArithmetic[],
): Promise<Compared> {
  const files = opened.slice(0, arithmetic.length).map(metered);
  const { runtime: reference } = elementAt(files, 0, 'model');
  const exact = exactComparison(arithmetic, opened.slice(arithmetic.length));
  const { batches, split } = await inputBatches(request, original, reference);
  let sample: Feeds | null = null;
  for await (const batch of batches) {
    const wanted = await reference.run(batch.inputs);
    const rows = rowsOf(batch.inputs) ?? batch.size;
    const computed: Outputs[] = [];
    for (const { runtime, scores, accuracy, fidelity } of files) {
      request.signal?.throwIfAborted();
      const outputs = runtime === reference ? wanted : await runtime.run(batch.inputs);
      computed.push(outputs);
      fidelity.add(wanted, outputs, batch.size, rows);
      const predicted = outputs.get(scores);
      if (batch.target && predicted) accuracy.add(predicted, batch.target, batch.size);
    }
    await exact.add(batch, computed, rows);
    sample ??= latencySample(batch, reference);
  }
  const hasClasses = request.dataset?.description.target.kind !== 'values';
  const withExact = (fidelity: PlainFidelity, i: number): Fidelity => {
    const whole = { ...fidelity, exact: exact.result(i, fidelity) };
    return hasClasses ? whole : withoutClasses(whole);
  };
  const results = files.map(({ accuracy, fidelity }, i) => ({
    accuracy: split === 'test' ? accuracy.result(split) : null,
    fidelity: withExact(fidelity.result(), i),
  }));
  return { results, sample: sample ?? new Map() };
}

/** The largest of several values is no class. */
function withoutClasses({ exact, ...fidelity }: Fidelity): Fidelity {
  return { ...fidelity, top1Agreement: null, exact: exact && { ...exact, top1Agreement: null } };
}

const metered = (runtime: Runtime) => ({
  runtime,
  scores: scoresName(runtime),
  accuracy: accuracyMeter(),
  fidelity: fidelityMeter(),
});

/** The output that is compared with the labels; '': the model has none. */
function scoresName({ outputs, outputNames }: Runtime): string {
  return predictionOutput(outputs.filter(({ name }) => outputNames.includes(name)))?.name ?? '';
}

/**
 * The test split; without one (a single sample), the others in turn, for fidelity only; without data, random inputs.
 */
async function inputBatches(
  request: MeasureRequest,
  original: Model,
  runtime: Runtime,
): Promise<{ batches: AsyncIterable<Batch>; split: SplitName | null }> {
  const { dataset, seed, transform } = request;
  const split = (['test', 'validation', 'train'] as const).find((name) => (dataset?.split(name).length ?? 0) > 0);
  if (!dataset || !split) return { batches: randomBatches(original, runtime, seed), split: null };
  const samples: Split = sampleOf(dataset.split(split), MAX_SAMPLES, seed);
  return { batches: (await workingFeeds(runtime, samples, transform))(), split };
}

async function* randomBatches(model: Model, runtime: Runtime, seed: number): AsyncGenerator<Batch> {
  const inputs = await randomInputs(model, runtime, seed);
  const macs = (macsOf(model, inputs.make(0, inputs.minSamples)) ?? RANDOM_MACS / 16) / inputs.minSamples;
  const wanted = Math.min(MAX_RANDOM, Math.max(MIN_RANDOM, Math.floor(RANDOM_MACS / Math.max(1, macs))));
  const batch = Math.max(inputs.minSamples, Math.min(wanted, inputs.maxSamples));
  for (let index = 0; index * batch < wanted; index++)
    yield { size: batch, inputs: inputs.make(index, batch), target: null };
}

/** Multiply-accumulates of one run; null where they stay unknown: a branch that is not taken may not fit the feeds. */
function macsOf(model: Model, feeds: Feeds): number | null {
  try {
    return countMacs(model, new Map([...feeds].map(([name, { shape }]) => [name, shape])));
  } catch (error) {
    if (error instanceof LatheError) return null;
    throw error;
  }
}

/** One sample, or as many as the model fixes. */
function latencySample(batch: Batch, runtime: Runtime): Feeds {
  if (fixedBatch(runtime.inputs) !== null) return batch.inputs;
  return new Map(
    [...batch.inputs].map(([name, array]) => {
      if (array.shape.length === 0) return [name, array];
      const row = array.data.length / Math.max(1, array.shape[0] ?? 1);
      return [name, { ...array, shape: [1, ...array.shape.slice(1)], data: array.data.slice(0, row) }];
    }),
  );
}

async function timeModels(request: MeasureRequest, runtimes: readonly Runtime[], sample: Feeds): Promise<Latency[]> {
  const batch = rowsOf(sample) ?? 1;
  return measureLatency(runtimes, sample, {
    batch,
    threads: LATENCY_THREADS,
    budgetMs: request.latencyBudgetMs,
    signal: request.signal,
  });
}
