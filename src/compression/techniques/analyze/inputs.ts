/** The samples of all trials with the untouched model's outputs: read and run once, kept while the trials run. */
import type { Sensitivity } from '../../../contracts/report.ts';
import type { Batch } from '../../data/dataset.ts';
import { trainAndValidation } from '../../data/splits.ts';
import type { Model } from '../../ir/types.ts';
import type { Outputs } from '../../measure/fidelity.ts';
import { rowsOf, sampleOf, workingFeeds } from '../../measure/inputs.ts';
import { randomInputs } from '../../measure/random-inputs.ts';
import type { Runtime } from '../../measure/session.ts';
import type { StepContext } from '../../step/step-context.ts';

export interface ReferenceBatch {
  readonly batch: Batch;
  /** Rows of the run, filled-up ones included. */
  readonly rows: number;
  readonly outputs: Outputs;
}

export interface ReferenceSamples {
  readonly data: Sensitivity['data'];
  readonly batches: readonly ReferenceBatch[];
  readonly samples: number;
}

const MAX_BATCH = 16;
/** Of inputs and outputs together. */
const MAX_BYTES = 256 * 2 ** 20;
/** Random samples say little: a few are enough. */
const RANDOM_SAMPLES = 16;

/** Stops at `wanted` samples or at the memory limit. Never reads the test split: the report's figures come from it. */
export async function referenceSamples(
  model: Model,
  runtime: Runtime,
  wanted: number,
  context: StepContext,
): Promise<ReferenceSamples> {
  const { data, source } = await sourceOf(model, runtime, wanted, context);
  const batches: ReferenceBatch[] = [];
  let [samples, bytes] = [0, 0];
  for await (const batch of source) {
    context.signal.throwIfAborted();
    const outputs = await runtime.run(batch.inputs);
    batches.push({ batch, rows: rowsOf(batch.inputs) ?? batch.size, outputs });
    samples += batch.size;
    bytes += bytesOf(batch.inputs.values()) + bytesOf(outputs.values());
    if (samples >= wanted || bytes > MAX_BYTES) break;
  }
  return { data, batches, samples };
}

async function sourceOf(
  model: Model,
  runtime: Runtime,
  wanted: number,
  { dataset, seed, transform, training }: StepContext,
): Promise<{ data: Sensitivity['data']; source: AsyncIterable<Batch> }> {
  const splits = dataset && trainAndValidation(dataset, training.validationFraction, seed);
  const data = splits && splits.validation.length > 0 ? 'validation' : 'train';
  const split = splits?.[data];
  if (!split || split.length === 0)
    return { data: 'random', source: randomBatches(model, runtime, Math.min(wanted, RANDOM_SAMPLES), seed) };
  return { data, source: (await workingFeeds(runtime, sampleOf(split, wanted, seed), transform))(MAX_BATCH) };
}

async function* randomBatches(model: Model, runtime: Runtime, wanted: number, seed: number): AsyncGenerator<Batch> {
  const inputs = await randomInputs(model, runtime, seed);
  for (let made = 0, index = 0; made < wanted; made += inputs.minSamples, index++)
    yield { size: inputs.minSamples, inputs: inputs.make(index, inputs.minSamples), target: null };
}

function bytesOf(arrays: Iterable<{ readonly data: { readonly byteLength: number } }>): number {
  let bytes = 0;
  for (const { data } of arrays) bytes += data.byteLength;
  return bytes;
}
