/** Inputs to run a model on: samples of a dataset, or seeded random ones where there is none. */
import type { Transform } from '../../contracts/job-request.ts';
import { isExhausted, LatheError } from '../../errors.ts';
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

/**
 * `datasetFeeds`, repeatable, in batches that the model really takes: many files declare an open batch and compute for one sample only,
 * which two samples show.
 */
export async function workingFeeds(runtime: Runtime, split: Split, transform: Transform): Promise<(largest?: number) => AsyncGenerator<Batch>> {
  const { inputs } = runtime;
  const many = await takesTwo(runtime, () => datasetFeeds(sampleOf(split, 2, 0), inputs, transform, 2));
  return (largest) => datasetFeeds(split, inputs, transform, many ? largest : 1);
}

async function takesTwo(runtime: Runtime, pair: () => AsyncIterable<Batch>): Promise<boolean> {
  for await (const batch of pair()) {
    if (batch.size < 2) return true;
    return runtime.run(batch.inputs).then(() => true, () => false);
  }
  return true;
}

/** Sizes tried for open dimensions: sides of images, lengths of sequences. */
const IMAGE_SIDES = [224, 64, 320, 32, 512, 48, 96, 640];
const LENGTHS = [16, 64, 128, 512, 1, 256, 32, 4, 576, 1024, 1536, 4096, 16000];

/** What stands for an open dimension: `state` for those of three axes and more that are no images (a state's batch, or its length). */
interface OpenSizes {
  readonly side: number;
  readonly length: number;
  readonly state: 'batch' | 'length';
}

export interface RandomInputs {
  /** Samples per run: what the model fixes, 1 where it computes for one sample only, otherwise up to `runBatchSize`. */
  readonly batch: number;
  /** Feeds number `index` with `batch` samples; equal numbers, equal feeds. */
  make(index: number, batch: number): Feeds;
}

/**
 * Random inputs for a model: standard normal floats, whole numbers within the bounds of the tables they index, else 0 or 1. Open dimensions are
 * found by trying; a `shape-mismatch` tells when no size was accepted.
 */
export async function randomInputs(model: Model, runtime: Runtime, seed: number): Promise<RandomInputs> {
  const bounds = indexBounds(model);
  const symbols = inputSymbols(model);
  const batchSymbols = new Set([...symbols.values()].flatMap(([first]) => (first ? [first] : [])));
  const maker = (sizes: OpenSizes) => (index: number, batch: number): Feeds => new Map(runtime.inputs.map((input, i) => {
    const shape = input.shape.map((size, axis) => size ?? openSize(input, axis, symbols.get(input.name)?.[axis] ?? null, batchSymbols, batch, sizes));
    return [input.name, randomArray(input, shape, bounds.get(input.name), seed, index, i)];
  }));
  let failure: unknown;
  for (const sizes of sizesToTry(runtime.inputs)) {
    const make = maker(sizes);
    try {
      await runtime.run(make(0, 1));
    } catch (error) {
      if (isExhausted(error)) throw error; // not for the sizes
      failure = error;
      continue;
    }
    const many = fixedBatch(runtime.inputs) === null && await runtime.run(make(0, 2)).then(() => true, () => false);
    return { make, batch: many ? runBatchSize(runtime.inputs) : (fixedBatch(runtime.inputs) ?? 1) };
  }
  throw new LatheError('shape-mismatch', `the model ran on no random input: ${(failure as Error).message}; give a dataset`, [], { cause: failure });
}

/** Combinations that differ for these inputs. */
function sizesToTry(inputs: readonly RuntimeInput[]): OpenSizes[] {
  const open = (test: (rank: number) => boolean) => inputs.some(({ shape }) => test(shape.length) && shape.slice(1).includes(null));
  const sides = open((rank) => rank === 4) ? IMAGE_SIDES : IMAGE_SIDES.slice(0, 1);
  const lengths = open((rank) => rank !== 4) ? LENGTHS : LENGTHS.slice(0, 1);
  const states: OpenSizes['state'][] = open((rank) => rank === 3 || rank > 4) ? ['length', 'batch'] : ['length'];
  return lengths.flatMap((length) => states.flatMap((state) => sides.map((side) => ({ side, length, state }))));
}

function inputSymbols(model: Model): ReadonlyMap<string, readonly (string | null)[]> {
  return new Map(model.graph.inputs.map(({ name, type }) => [name, (type?.shape ?? []).map((dim) => (typeof dim === 'string' ? dim : null))]));
}

/** Equal symbols have equal sizes: what stands first anywhere is the batch everywhere. */
function openSize({ shape }: RuntimeInput, axis: number, symbol: string | null, batchSymbols: ReadonlySet<string>, batch: number, sizes: OpenSizes): number {
  if (axis === 0 || (symbol && batchSymbols.has(symbol))) return batch;
  if (shape.length === 4) return axis === 1 && shape[2] === null && shape[3] === null ? 3 : sizes.side;
  return shape.length > 2 && sizes.state === 'batch' ? batch : sizes.length;
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
