/** Inputs to run a model on: samples of a dataset, or seeded random ones where there is none. */
import type { Transform } from '../../contracts/job-request.ts';
import { LatheError } from '../../errors.ts';
import { allocate, elementCount } from '../data/array-store.ts';
import { batchSource } from '../data/batches.ts';
import type { Batch, HostArray, Split } from '../data/dataset.ts';
import { permutation, seededNormal, seededRandom } from '../data/random.ts';
import { subset } from '../data/splits.ts';
import { carrierOf } from '../data/transform.ts';
import type { Model } from '../graph/types.ts';
import { indexBounds } from './index-bounds.ts';
import type { Feeds, Runtime, RuntimeInput } from './session.ts';

/** Bytes of one batch's inputs that are given to the runtime at once. */
const BATCH_BYTES = 16 * 2 ** 20;
const LARGEST_BATCH = 100;

/** The batch size that a model's inputs fix (a constant first dimension); null where it is open. */
export function fixedBatch(inputs: readonly RuntimeInput[]): number | null {
  const sizes = inputs.filter(({ shape }) => shape.length > 0).map(({ shape }) => shape[0]!);
  return sizes.find((size) => size !== null) ?? null;
}

/** Samples per run: as the model fixes it, otherwise what fits a modest amount of memory. */
export function runBatchSize(inputs: readonly RuntimeInput[], largest = LARGEST_BATCH): number {
  const sampleBytes = inputs.reduce((sum, { shape }) => sum + 4 * shape.slice(1).reduce<number>((product, size) => product * (size ?? 64), 1), 0);
  return fixedBatch(inputs) ?? Math.max(1, Math.min(largest, Math.floor(BATCH_BYTES / Math.max(1, sampleBytes))));
}

/** At most `limit` samples of a split, evenly random by seed and in the split's order. */
export function sampleOf(split: Split, limit: number, seed: number): Split {
  if (split.length <= limit) return split;
  return subset(split, permutation(split.length, seededRandom(seed)).slice(0, limit).sort());
}

/**
 * Batches of a split for the runtime. Where the model fixes its batch size, a short last batch is filled up by repeating its last sample; `size`
 * then still says how many of its rows count.
 */
export async function* datasetFeeds(split: Split, inputs: readonly RuntimeInput[], transform: Transform, largest?: number): AsyncGenerator<Batch> {
  const batchSize = runBatchSize(inputs, largest);
  const fixed = fixedBatch(inputs);
  const source = batchSource(split, { batchSize, shuffle: false, seed: 0, transform, inputs: inputs.map(({ name, dtype, shape }) => ({ name, dtype, shape: [...shape] })) });
  for await (const batch of source.epoch(0)) yield fixed === null || batch.size === fixed ? batch : padded(batch, fixed);
}

function padded(batch: Batch, size: number): Batch {
  return { ...batch, inputs: new Map([...batch.inputs].map(([name, array]) => [name, padRows(array, size)])) };
}

function padRows(array: HostArray, size: number): HostArray {
  const row = elementCount(array.shape.slice(1));
  const data = allocate(array.dtype, size * row);
  for (let i = 0; i < data.length; i++) data[i] = array.data[i < array.data.length ? i : array.data.length - row + (i % row)]!;
  return { dtype: array.dtype, shape: [size, ...array.shape.slice(1)], data };
}

/** Open dimensions beyond the batch, tried in this order until the model runs: spatial size of images, length of sequences, else. */
const OPEN_SIZES: readonly { readonly image: number; readonly other: number }[] = [
  { image: 224, other: 16 }, { image: 64, other: 64 }, { image: 320, other: 128 }, { image: 32, other: 1 }, { image: 512, other: 512 }, { image: 48, other: 32 }, { image: 256, other: 4 },
];

export interface RandomInputs {
  /** Feeds number `index` with `batch` samples (the model's own number where it fixes one). */
  make(index: number, batch: number): Feeds;
}

/**
 * Random inputs for a model: standard normal floats, whole numbers within the bounds of the tables they index, else 0 or 1. Open dimensions are
 * found by trying; a `shape-mismatch` tells when no size was accepted.
 */
export async function randomInputs(model: Model, runtime: Runtime, seed: number): Promise<RandomInputs> {
  const bounds = indexBounds(model);
  const symbols = inputSymbols(model);
  const maker = (sizes: (typeof OPEN_SIZES)[number]): RandomInputs => ({
    make: (index, batch) => new Map(runtime.inputs.map((input, i) => [input.name, randomArray(input, concrete(input, symbols.get(input.name) ?? [], batch, sizes), bounds.get(input.name), seed, index, i)])),
  });
  let failure: unknown;
  for (const sizes of OPEN_SIZES) {
    const inputs = maker(sizes);
    try {
      await runtime.run(inputs.make(0, 1));
      return inputs;
    } catch (error) {
      failure = error;
      if (runtime.inputs.every(({ shape }) => shape.slice(1).every((size) => size !== null))) break;
    }
  }
  throw new LatheError('shape-mismatch', `the model ran on no random input: ${(failure as Error).message}; give a dataset`, [], { cause: failure });
}

type Symbols = readonly (string | null)[];

function inputSymbols(model: Model): ReadonlyMap<string, Symbols> {
  return new Map(model.graph.inputs.map(({ name, type }) => [name, (type?.shape ?? []).map((dim) => (typeof dim === 'string' ? dim : null))]));
}

/** Equal symbols get equal sizes: the first symbol of the first axis is the batch everywhere. */
function concrete({ shape }: RuntimeInput, symbols: Symbols, batch: number, sizes: (typeof OPEN_SIZES)[number]): number[] {
  return shape.map((size, axis) => {
    if (size !== null) return size;
    if (axis === 0 || (symbols[axis] && symbols[axis] === symbols[0])) return batch;
    if (shape.length !== 4) return sizes.other;
    return axis === 1 && shape[2] === null && shape[3] === null ? 3 : sizes.image;
  });
}

function randomArray({ dtype }: RuntimeInput, shape: readonly number[], bound: number | undefined, seed: number, index: number, input: number): HostArray {
  const carrier = carrierOf(dtype);
  const data = allocate(carrier, elementCount(shape));
  if (carrier === 'float32') {
    const normal = seededNormal(seed, index, input);
    for (let i = 0; i < data.length; i++) data[i] = normal();
    return { dtype: carrier, shape, data };
  }
  const uniform = seededRandom(seed, index, input);
  const below = bound ?? (dtype === 'uint8' ? 256 : 2);
  for (let i = 0; i < data.length; i++) {
    const value = Math.floor(uniform() * below);
    data[i] = data instanceof BigInt64Array ? BigInt(value) : value;
  }
  return { dtype: carrier, shape, data };
}
