/**
 * The evidence: everything a report says of a model, measured on the file itself in onnxruntime, against the original
 * in the same run.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Transform } from '../../contracts/job-request.ts';
import type { Fidelity, Latency, Measures } from '../../contracts/report.ts';
import { LatheError } from '../../errors.ts';
import type { Batch, Dataset, Split, SplitName } from '../data/dataset.ts';
import { predictionOutput } from '../data/match.ts';
import { readOnnx } from '../formats/onnx/read.ts';
import { countMacs } from '../graph/describe.ts';
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
  /** Further models, of which everything but the latency is measured. */
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

/** Test samples that are run; of larger test splits, a seeded choice. */
const MAX_SAMPLES = 10_000;
/**
 * Random samples where there are no data: fewer for heavy models, so that they take about 10 GMACs: a second or two for
 * each file.
 */
const RANDOM_MACS = 1e10;
const [MIN_RANDOM, MAX_RANDOM] = [4, 128];
/**
 * Latency is that of one thread: with more, waking them takes as long as a small model's layers, and what else the
 * machine does weighs in.
 */
const LATENCY_THREADS = 1;

/** Measures of the original (index 0), of each candidate and of the untimed ones, in order. */
export async function measureModels(request: MeasureRequest): Promise<Measures[]> {
  const timed = [request.original, ...request.candidates];
  const files = [...timed, ...(request.untimed ?? [])];
  const models = files.map((bytes) => readOnnx(bytes));
  const arithmetic = models.map((model) => integerArithmetic(model));
  const exactFiles = arithmetic.flatMap(({ exactFile }) => exactFile ?? []);
  const compared = await withRuntimes([...files, ...exactFiles], request.threads ?? 1, (runtimes) =>
    compareOutputs(request, models[0]!, runtimes, arithmetic),
  );
  const latencies = await withRuntimes(timed, LATENCY_THREADS, (runtimes) =>
    timeModels(request, runtimes, compared.sample),
  );
  const statics = await Promise.all(files.map((bytes, i) => staticMeasures(bytes, models[i]!)));
  return statics.map((measures, i) => ({ ...measures, ...compared.results[i]!, latencyMs: latencies[i] ?? null }));
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
 * Runs all models batch by batch, so that no outputs are kept. `opened`: first the files, then what stands for their
 * exact arithmetic.
 */
async function compareOutputs(
  request: MeasureRequest,
  original: Model,
  opened: readonly Runtime[],
  arithmetic: readonly IntegerArithmetic[],
): Promise<Compared> {
  const runtimes = opened.slice(0, arithmetic.length);
  const accuracies = runtimes.map(() => accuracyMeter());
  const fidelities = runtimes.map(() => fidelityMeter());
  const exact = exactComparison(arithmetic, opened.slice(arithmetic.length));
  const { batches, split } = await inputBatches(request, original, runtimes[0]!);
  let sample: Feeds | null = null;
  for await (const batch of batches) {
    const reference = await runtimes[0]!.run(batch.inputs);
    const rows = rowsOf(batch.inputs) ?? batch.size;
    const computed: Outputs[] = [];
    for (const [i, runtime] of runtimes.entries()) {
      request.signal?.throwIfAborted();
      const outputs = i === 0 ? reference : await runtime.run(batch.inputs);
      computed.push(outputs);
      fidelities[i]!.add(reference, outputs, batch.size, rows);
      const scores = outputs.get(
        predictionOutput(runtime.outputs.filter(({ name }) => runtime.outputNames.includes(name)))!.name,
      );
      if (batch.target && scores) accuracies[i]!.add(scores, batch.target, batch.size);
    }
    await exact.add(batch, computed, rows);
    sample ??= latencySample(batch, runtimes[0]!);
  }
  const withExact = (fidelity: PlainFidelity, i: number): Fidelity => ({
    ...fidelity,
    exact: exact.result(i, fidelity),
  });
  const accuracy = (i: number) => (split === 'test' ? accuracies[i]!.result(split) : null);
  return {
    results: runtimes.map((_, i) => ({ accuracy: accuracy(i), fidelity: withExact(fidelities[i]!.result(), i) })),
    sample: sample ?? new Map(),
  };
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
      const row = array.data.length / Math.max(1, array.shape[0]!);
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
