/** Samples of a dataset as inputs of a run. */
import type { Transform } from '../../contracts/job-request.ts';
import { allocate, elementCount } from '../data/array-store.ts';
import { batchSource } from '../data/batches.ts';
import type { Batch, HostArray, Split } from '../data/dataset.ts';
import { permutation, seededRandom } from '../data/random.ts';
import { subset } from '../data/splits.ts';
import type { Feeds, Runtime, RuntimeInput } from './session.ts';

/** Bytes of inputs that the runtime gets at once. */
const MAX_BATCH_BYTES = 16 * 2 ** 20;
const DEFAULT_MAX_BATCH = 100;

/** The batch size that a model's inputs fix (a constant first dimension); null where it is open. */
export function fixedBatch(inputs: readonly RuntimeInput[]): number | null {
  const sizes = inputs.flatMap(({ shape }) => shape[0] ?? []);
  return sizes[0] ?? null;
}

/** Samples per run: the model's fixed batch size, otherwise what fits `MAX_BATCH_BYTES`. */
export function runBatchSize(inputs: readonly RuntimeInput[], maxBatch = DEFAULT_MAX_BATCH): number {
  const sampleBytes = inputs.reduce(
    (sum, { shape }) => sum + 4 * shape.slice(1).reduce<number>((product, size) => product * (size ?? 64), 1),
    0,
  );
  return fixedBatch(inputs) ?? Math.max(1, Math.min(maxBatch, Math.floor(MAX_BATCH_BYTES / Math.max(1, sampleBytes))));
}

/** At most `limit` samples of a split, evenly random by seed and in the split's order. */
export function sampleOf(split: Split, limit: number, seed: number): Split {
  if (split.length <= limit) return split;
  return subset(split, permutation(split.length, seededRandom(seed)).slice(0, limit).sort());
}

/**
 * Batches of a split for the runtime. Where the model fixes its batch size, a short last batch is padded with its last
 * sample; `size` stays the number of rows that count.
 */
export async function* datasetFeeds(
  split: Split,
  inputs: readonly RuntimeInput[],
  transform: Transform,
  maxBatch?: number,
): AsyncGenerator<Batch> {
  const batchSize = runBatchSize(inputs, maxBatch);
  const fixed = fixedBatch(inputs);
  const source = batchSource(split, {
    batchSize,
    shuffle: false,
    seed: 0,
    transform,
    inputs: inputs.map(({ name, dtype, shape }) => ({ name, dtype, shape: [...shape] })),
    numWorkers: 0, // onnxruntime takes no shared memory
  });
  for await (const batch of source.epoch(0))
    yield fixed === null || batch.size === fixed ? batch : padded(batch, fixed);
}

function padded(batch: Batch, size: number): Batch {
  return { ...batch, inputs: new Map([...batch.inputs].map(([name, array]) => [name, padRows(array, size)])) };
}

/** Samples in a run's inputs; those without axes are the same for all. */
export function rowsOf(feeds: Feeds): number | null {
  return [...feeds.values()].find(({ shape }) => shape.length > 0)?.shape[0] ?? null;
}

function padRows(array: HostArray, size: number): HostArray {
  if (array.shape.length === 0) return array;
  const row = elementCount(array.shape.slice(1));
  const data = allocate(array.dtype, size * row);
  for (let i = 0; i < data.length; i++)
    data[i] = array.data[i < array.data.length ? i : array.data.length - row + (i % row)]!; // hot: every element
  return { dtype: array.dtype, shape: [size, ...array.shape.slice(1)], data };
}

/**
 * `datasetFeeds`, repeatable, in batches that the model accepts: many files declare an open batch but compute only one
 * sample, which a trial run with two samples reveals.
 */
export async function workingFeeds(
  runtime: Runtime,
  split: Split,
  transform: Transform,
): Promise<(maxBatch?: number) => AsyncGenerator<Batch>> {
  const { inputs } = runtime;
  const many = await takesTwo(runtime, () => datasetFeeds(sampleOf(split, 2, 0), inputs, transform, 2));
  return (maxBatch) => datasetFeeds(split, inputs, transform, many ? maxBatch : 1);
}

async function takesTwo(runtime: Runtime, pair: () => AsyncIterable<Batch>): Promise<boolean> {
  for await (const batch of pair()) {
    if (batch.size < 2) return true;
    return runtime.run(batch.inputs).then(
      () => true,
      () => false,
    );
  }
  return true;
}
