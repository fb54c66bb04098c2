/**
 * Data as the engine sees it: splits of samples that can be read by index, and batches of them in the model's own input
 * form.
 */
import type { DatasetDescription } from '../../contracts/dataset.ts';
import type { SplitHandle } from './handles.ts';

/** Row-major values with the sample axis first. */
export interface HostArray {
  readonly dtype: 'float32' | 'int32' | 'uint8' | 'int64' | 'bool';
  /** [n, ...]. */
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array | BigInt64Array;
}

/** Raw samples as stored (images [n, h, w, c] uint8; tables [n, features]); the transform is not applied yet. */
export interface RawSamples {
  readonly size: number;
  readonly inputs: ReadonlyMap<string, HostArray>;
  /** Class indices (int32 [n]) or values (float32 [n, ...]); null: unlabelled. */
  readonly target: HostArray | null;
}

export interface ReadOptions {
  /** [height, width] that image files are decoded to; needed where they differ in size. Arrays are given as stored. */
  readonly imageSize?: readonly [number, number];
  /** Image files decoded at the same time. */
  readonly concurrency?: number;
}

export interface Split {
  readonly length: number;
  /** Class of every sample; absent where the target is no classes. */
  readonly labels?: Int32Array;
  /** Samples are files that are decoded when they are read: reading may fail for one of them alone. */
  readonly isDecoded?: boolean;
  /** The name of a sample's file. */
  nameOf?(index: number): string;
  /** Reads samples in the order of `indices`. */
  read(indices: readonly number[] | Int32Array, options?: ReadOptions): Promise<RawSamples>;
  /** For other threads, which open it with `openSplit`. Absent: only this thread can read it. */
  share?(options: ReadOptions): SplitHandle;
}

export type SplitName = 'train' | 'validation' | 'test';

export interface Dataset {
  readonly description: DatasetDescription;
  /** Always present; length 0 where the dataset has no such split. */
  split(name: SplitName): Split;
  close(): Promise<void>;
}

/**
 * Samples in the form of the model's inputs: its names, its order of axes ([n, c, h, w] for an image model), float32
 * after transform.
 */
export interface Batch {
  readonly size: number;
  readonly inputs: ReadonlyMap<string, HostArray>;
  readonly target: HostArray | null;
  /** Says that the arrays are no longer read: their memory may then hold a later batch. Need not be called. */
  release?(): void;
}

/** What a source has found out so far. */
export interface LoaderFigures {
  /** Threads that make batches; where they are chosen by measurement, the present choice. */
  readonly numWorkers: number;
  /** Share of the time within epochs that the caller waited for batches, 0..1; null before the first one. */
  readonly waitShare: number | null;
  /** Samples that could not be decoded and were replaced, in words; null: none. */
  readonly broken: string | null;
}

/** One pass over a split. The last batch may be short. */
export interface BatchSource {
  /** In an epoch. */
  readonly samples: number;
  readonly batchesPerEpoch: number;
  epoch(epoch: number): AsyncIterable<Batch>;
  /**
   * The share of one of several replicas in every batch, contiguous: those of ranks 0 to `of` - 1 in order are the
   * whole batch, and their sizes differ by one at most. A share may be empty; its batch then has size 0, so that all
   * replicas take as many steps. The same share is the same source; it is closed with this one.
   */
  shard(rank: number, of: number): BatchSource;
  figures(): LoaderFigures;
  /** Ends the threads that make batches; a later epoch starts new ones. Leaving an epoch early does so, too. */
  close(): Promise<void>;
}
