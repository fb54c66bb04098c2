/**
 * Batches in the form of a model's inputs, in a seeded order, the next one prepared while the caller works on the last.
 */
import { availableParallelism } from 'node:os';
import type { Transform } from '../../contracts/job-request.ts';
import type { TensorDescription } from '../../contracts/model.ts';
import { LatheError } from '../../errors.ts';
import type { Batch, BatchSource, HostArray, RawSamples, Split } from './dataset.ts';
import { pairInputs, planInput, type InputPlan } from './layout.ts';
import { permutation, seededRandom } from './random.ts';
import { affineOf, toModelInput } from './transform.ts';

export interface BatchOptions {
  readonly batchSize: number;
  readonly shuffle: boolean;
  /** Leaves out a last batch that is short. */
  readonly fullBatchesOnly?: boolean;
  readonly seed: number;
  readonly transform: Transform;
  /** The model's inputs, batch axis first. */
  readonly inputs: readonly TensorDescription[];
  /**
   * Image files decoded at a time, beside the caller's work; 0: none, each batch is made when it is asked for. 'auto'
   * and 'cores': as many as there are cores. Arrays need no decoding; for them only 0 or not 0 matters (whether a batch
   * is prepared ahead).
   */
  readonly numWorkers?: number | 'auto' | 'cores';
}

export function batchSource(split: Split, options: BatchOptions): BatchSource {
  return sharedSource(split, options, (batch) => batch);
}

/** @param shareOf the part of a batch's indices that this source gives */
function sharedSource(split: Split, options: BatchOptions, shareOf: (batch: Int32Array) => Int32Array): BatchSource {
  const { batchSize, shuffle, seed, fullBatchesOnly = false } = options;
  const workers = typeof options.numWorkers === 'number' ? options.numWorkers : availableParallelism();
  const makeBatch = createBatchLoader(split, options, Math.max(1, workers));
  const count = split.length / batchSize;
  const batchesPerEpoch = fullBatchesOnly ? Math.floor(count) : Math.ceil(count);
  const batchesOf = (order: Int32Array) =>
    Array.from({ length: batchesPerEpoch }, (_, at) => order.subarray(at * batchSize, (at + 1) * batchSize));
  return {
    samples: batchesOf(new Int32Array(split.length)).reduce((sum, batch) => sum + shareOf(batch).length, 0),
    batchesPerEpoch,
    async *epoch(epoch) {
      const batches = batchesOf(
        shuffle
          ? permutation(split.length, seededRandom(seed, epoch))
          : Int32Array.from({ length: split.length }, (_, i) => i),
      );
      const load = async (at: number): Promise<Batch> => {
        const batch = batches[at] ?? new Int32Array();
        const share = shareOf(batch);
        return share.length > 0 ? makeBatch(share) : withoutSamples(await makeBatch(batch.subarray(0, 1)));
      };
      yield* workers === 0 ? loadSequentially(batchesPerEpoch, load) : prefetchOne(batchesPerEpoch, load);
    },
    shard: (rank, of) => {
      if (!Number.isInteger(rank) || rank < 0 || rank >= of) throw new RangeError(`There is no shard ${rank} of ${of}`);
      return sharedSource(split, options, (batch) => evenShare(shareOf(batch), rank, of));
    },
  };
}

/** [floor(n * rank / of), floor(n * (rank + 1) / of)) of n indices. */
function evenShare(indices: Int32Array, rank: number, of: number): Int32Array {
  const limit = (shards: number) => Math.floor((indices.length * shards) / of);
  return indices.subarray(limit(rank), limit(rank + 1));
}

/** A batch of the same form without samples. Inputs that samples share (those without axes) stay. */
function withoutSamples({ inputs, target }: Batch): Batch {
  const empty = (array: HostArray): HostArray =>
    array.shape.length === 0 ? array : { ...array, shape: [0, ...array.shape.slice(1)], data: array.data.slice(0, 0) };
  return {
    size: 0,
    inputs: new Map([...inputs].map(([name, array]) => [name, empty(array)])),
    target: target && empty(target),
  };
}

async function* loadSequentially<T>(count: number, load: (at: number) => Promise<T>): AsyncGenerator<T> {
  for (let at = 0; at < count; at++) yield await load(at);
}

/** Starts loading the next item before the present one is handed out. */
async function* prefetchOne<T>(count: number, load: (at: number) => Promise<T>): AsyncGenerator<T> {
  let next = count > 0 ? load(0) : null;
  try {
    for (let at = 0; at < count; at++) {
      const current = await next!;
      next = at + 1 < count ? load(at + 1) : null;
      yield current;
    }
  } finally {
    // The caller stopped early: ignores the batch in progress and its error.
    await next?.catch(() => undefined);
  }
}

type PlannedInput = { readonly from: string; readonly input: TensorDescription; readonly plan: InputPlan };

/** Samples of a split -> batches for a model's inputs. */
function createBatchLoader(
  split: Split,
  options: BatchOptions,
  concurrency: number,
): (indices: Int32Array) => Promise<Batch> {
  let plans: PlannedInput[] | null = null;
  const affine = affineOf(options.transform);
  const imageSize = imageSizeOf(options);
  return async (indices) => {
    const raw = await split.read(indices, { ...(imageSize ? { imageSize } : {}), concurrency });
    plans ??= planInputs(raw, options);
    const scaleImagesOnly = plans.some(({ plan }) => plan.kind === 'image');
    const inputs = new Map(
      plans.map(({ from, input, plan }): [string, HostArray] => {
        const scaling = input.shape.length > 0 && (!scaleImagesOnly || plan.kind === 'image') ? affine : null;
        const array = toModelInput(raw.inputs.get(from)!, plan, input.dtype, scaling);
        return [input.name, input.shape.length === 0 ? sharedScalar(array, input.name) : array];
      }),
    );
    return { size: raw.size, inputs, target: raw.target };
  };
}

/** For an input without axes: the number that all samples of a batch share. */
function sharedScalar(array: HostArray, name: string): HostArray {
  const data = array.data.slice(0, 1);
  if (array.shape.length !== 1 || array.data.some((value) => value !== data[0]))
    throw new LatheError(
      'shape-mismatch',
      `model input "${name}" is a single number, and the samples of a batch differ in it`,
    );
  return { ...array, shape: [], data };
}

/** The size of decoded images: `transform.resize`, or that of the model's only input where it is an image. */
function imageSizeOf({ transform, inputs }: BatchOptions): readonly [number, number] | null {
  if (transform.resize) return transform.resize as [number, number];
  const shape = (inputs.length === 1 && inputs[0]?.shape) || [];
  if (shape.length !== 4) return null;
  const channelsLast = (shape[3] === 1 || shape[3] === 3) && shape[1] !== 1 && shape[1] !== 3;
  const [height, width] = channelsLast ? [shape[1], shape[2]] : [shape[2], shape[3]];
  return height && width ? [height, width] : null;
}

function planInputs(raw: RawSamples, options: BatchOptions): PlannedInput[] {
  const samples = [...raw.inputs].map(
    ([name, array]): TensorDescription => ({ name, dtype: array.dtype, shape: array.shape.slice(1) }),
  );
  const pairs = pairInputs(samples, options.inputs);
  if (!pairs)
    throw new LatheError(
      'shape-mismatch',
      `the model takes ${options.inputs.length} input(s), the dataset gives ${samples.length}, or their names differ`,
    );
  return pairs.map(([sample, input]) => {
    const plan = planInput({ sample, input, transform: options.transform, resizable: false });
    if (!plan)
      throw new LatheError(
        'shape-mismatch',
        `samples "${sample.name}" of shape [${sample.shape.join(', ')}] do not fit ` +
          `model input "${input.name}" [${input.shape.map((size) => size ?? '?').join(', ')}]`,
      );
    return { from: sample.name, input, plan };
  });
}
