/** Batches in the form of a model's inputs, in a seeded order, the next ones prepared while the caller works. */
import type { Augmentation } from '../../contracts/augmentation.ts';
import type { Transform } from '../../contracts/job-request.ts';
import type { TensorDescription } from '../../contracts/model.ts';
import type { BatchSource, Split } from './dataset.ts';
import type { BatchRequest } from './loader/batch-maker.ts';
import { BatchStream } from './loader/batch-stream.ts';
import { permutation, seededRandom } from './random.ts';

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
   * Threads that make batches; 0: this process makes each when it is asked for. Default 'auto': measured with the first
   * batches. The batches are the same.
   */
  readonly numWorkers?: number | 'auto' | 'cores';
  /** Random changes of the samples; default none. */
  readonly augment?: readonly Augmentation[];
  /** Scores that the model gives; mixup needs it where the target is classes. */
  readonly classes?: number;
  /** Samples that may be undecodable, as a share of the split; default 0.01. */
  readonly maxBrokenShare?: number;
}

export function batchSource(split: Split, options: BatchOptions): BatchSource {
  return sharedSource(split, options, (batch) => batch);
}

/** The rows [from, to) of a batch. */
interface Share {
  readonly from: number;
  readonly to: number;
}

/** @param shareOf the part of a batch that this source gives */
function sharedSource(split: Split, options: BatchOptions, shareOf: (batch: Share) => Share): BatchSource {
  const { batchSize, shuffle, seed, fullBatchesOnly = false, numWorkers = 'auto', augment = [] } = options;
  const stream = new BatchStream(split, { ...options, numWorkers, augment });
  const count = split.length / batchSize;
  const batchesPerEpoch = fullBatchesOnly ? Math.floor(count) : Math.ceil(count);
  const requestsOf = (epoch: number, order: Int32Array): BatchRequest[] =>
    Array.from({ length: batchesPerEpoch }, (_, batch) => {
      const samples = order.slice(batch * batchSize, (batch + 1) * batchSize);
      return { epoch, batch, samples, ...shareOf({ from: 0, to: samples.length }) };
    });
  const ordered = () => Int32Array.from({ length: split.length }, (_, i) => i);
  const shards = new Map<string, BatchSource>();
  return {
    samples: requestsOf(0, ordered()).reduce((sum, { from, to }) => sum + to - from, 0),
    batchesPerEpoch,
    epoch: (epoch) =>
      stream.run(requestsOf(epoch, shuffle ? permutation(split.length, seededRandom(seed, epoch)) : ordered())),
    shard: (rank, of) => {
      if (!Number.isInteger(rank) || rank < 0 || rank >= of) throw new RangeError(`There is no shard ${rank} of ${of}`);
      const key = `${rank} of ${of}`;
      const shard = shards.get(key) ?? sharedSource(split, options, (batch) => evenShare(shareOf(batch), rank, of));
      shards.set(key, shard);
      return shard;
    },
    figures: () => ({
      numWorkers: stream.workers,
      waitShare: stream.clock.waitShare,
      broken: stream.broken.count > 0 ? stream.broken.describe() : null,
    }),
    close: async () => {
      await Promise.all([stream.close(), ...[...shards.values()].map((shard) => shard.close())]);
    },
  };
}

/** [floor(n * rank / of), floor(n * (rank + 1) / of)) of n rows. */
function evenShare({ from, to }: Share, rank: number, of: number): Share {
  const limit = (shards: number) => from + Math.floor(((to - from) * shards) / of);
  return { from: limit(rank), to: limit(rank + 1) };
}
