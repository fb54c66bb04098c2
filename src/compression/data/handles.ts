/**
 * What another thread of this process needs to read the same samples: memory is shared, open files are passed by
 * descriptor, so nothing is copied. Plain data, for `postMessage`. A handle is good as long as its dataset is open.
 */
type Dtype = 'float32' | 'int32' | 'uint8' | 'int64' | 'bool';

export type ArrayHandle =
  | {
      readonly kind: 'memory';
      readonly dtype: Dtype;
      readonly shape: readonly number[];
      readonly bytes: SharedArrayBuffer;
    }
  | {
      readonly kind: 'file';
      readonly dtype: Dtype;
      readonly shape: readonly number[];
      /** Descriptor, and where the first row begins. */
      readonly file: number;
      readonly at: number;
    }
  /** A number alone, the same for `count` samples. */
  | { readonly kind: 'repeated'; readonly scalar: ArrayHandle; readonly count: number };

export type TargetHandle =
  | { readonly kind: 'classes'; readonly labels: SharedInts; readonly classes: number }
  | { readonly kind: 'values'; readonly values: ArrayHandle };

/** int32 values. */
export type SharedInts = SharedArrayBuffer;

/** Decoded samples of one size, kept in a file: see sample-cache.ts. */
export interface CacheHandle {
  readonly file: number;
  readonly rowBytes: number;
  /** One byte for each of the first samples, which are the ones that have a place in the file. */
  readonly states: SharedArrayBuffer;
}

/** Entries of a zip archive; one value per file in every list. */
export interface FilesHandle {
  readonly file: number;
  /** float64: where the local header begins. */
  readonly offsets: SharedArrayBuffer;
  /** float64: bytes in the archive, and unpacked. */
  readonly packed: SharedArrayBuffer;
  readonly unpacked: SharedArrayBuffer;
  /** int32: length of the name in bytes. */
  readonly names: SharedInts;
  /** int32: 0 stored, 8 deflate. */
  readonly methods: SharedInts;
}

export type SplitHandle =
  | {
      readonly kind: 'arrays';
      readonly inputs: readonly (readonly [string, ArrayHandle])[];
      readonly target: TargetHandle | null;
    }
  | {
      readonly kind: 'images';
      readonly files: FilesHandle;
      readonly labels: SharedInts | null;
      readonly size: readonly [number, number];
      readonly channels: 1 | 3;
      readonly cache: CacheHandle | null;
    }
  | { readonly kind: 'subset'; readonly of: SplitHandle; readonly indices: SharedInts };

export function sharedInts(values: ArrayLike<number>): SharedInts {
  const shared = new SharedArrayBuffer(values.length * 4);
  new Int32Array(shared).set(values);
  return shared;
}

export function sharedDoubles(values: ArrayLike<number>): SharedArrayBuffer {
  const shared = new SharedArrayBuffer(values.length * 8);
  new Float64Array(shared).set(values);
  return shared;
}
