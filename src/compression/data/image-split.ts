/** A split of image files in an archive: each is read and decoded when it is asked for, the first time only. */
import { LatheError } from '../../errors.ts';
import { mapConcurrently } from './concurrency.ts';
import type { HostArray, ReadOptions, Split } from './dataset.ts';
import { decodeImage } from './decode-image.ts';
import { sharedInts, type CacheHandle, type FilesHandle, type SplitHandle } from './handles.ts';
import { closeCache, createCache, openCache } from './sample-cache.ts';
import { openEntries } from './zip-entry.ts';

export const DEFAULT_CONCURRENCY = 4;

export interface ImageFiles {
  readonly files: FilesHandle;
  readonly count: number;
  readonly labels: Int32Array | null;
  /** Of all images; null where they differ. */
  readonly size: readonly [number, number] | null;
  readonly channels: 1 | 3;
  nameOf(index: number): string;
}

export const badImage = (path: string, message: string, cause?: unknown) =>
  new LatheError('malformed-dataset', `image "${path}": ${message}`, [{ path, message }], { cause });

/** Closing it closes what decoded samples are kept in, not the archive. */
export function imageSplit(images: ImageFiles): Split & { close(): void } {
  const { labels, nameOf } = images;
  const caches = new Map<string, CacheHandle | null>();
  const handleFor = (options: ReadOptions): Extract<SplitHandle, { kind: 'images' }> => {
    const size = requireSize(options.imageSize ?? images.size);
    const key = size.join('x');
    if (!caches.has(key)) caches.set(key, createCache(images.count, size[0] * size[1] * images.channels));
    return {
      kind: 'images',
      files: images.files,
      labels: labels && sharedInts(labels),
      size,
      channels: images.channels,
      cache: caches.get(key) ?? null,
    };
  };
  return {
    ...decodingSplit(images.count, labels, nameOf, sampleReaders(handleFor)),
    share: handleFor,
    close: () => {
      for (const cache of caches.values()) if (cache) closeCache(cache);
      caches.clear();
    },
  };
}

export function openImageSplit(handle: Extract<SplitHandle, { kind: 'images' }>): Split {
  const labels = handle.labels && new Int32Array(handle.labels);
  const reader = sampleReader(handle);
  const count = handle.files.offsets.byteLength / 8;
  return decodingSplit(
    count,
    labels,
    (index) => `#${index}`,
    () => reader,
  );
}

function requireSize(size: readonly [number, number] | null): readonly [number, number] {
  if (size) return size;
  throw new LatheError(
    'shape-mismatch',
    'the images differ in size; transform.resize must say to which size they are brought',
  );
}

interface SampleReader {
  /** [h, w, c] of a sample. */
  readonly shape: readonly [number, number, number];
  /** Fills `into`. */
  read(index: number, into: Uint8Array): Promise<void>;
}

/** One reader per size, made when it is first asked for. */
function sampleReaders(
  handleFor: (options: ReadOptions) => Extract<SplitHandle, { kind: 'images' }>,
): (options: ReadOptions) => SampleReader {
  const readers = new Map<string, SampleReader>();
  return (options) => {
    const key = options.imageSize?.join('x') ?? '';
    const known = readers.get(key);
    if (known) return known;
    const reader = sampleReader(handleFor(options));
    readers.set(key, reader);
    return reader;
  };
}

function sampleReader({ files, size, channels, cache: kept }: Extract<SplitHandle, { kind: 'images' }>): SampleReader {
  const bytesOf = openEntries(files);
  const cache = kept && openCache(kept);
  return {
    shape: [...size, channels],
    async read(index, into) {
      if (cache?.get(index, into)) return;
      const pixels = await decodeImage(bytesOf(index), size, channels);
      into.set(pixels);
      cache?.put(index, pixels);
    },
  };
}

function decodingSplit(
  length: number,
  labels: Int32Array | null,
  nameOf: (index: number) => string,
  readerFor: (options: ReadOptions) => SampleReader,
): Split {
  return {
    length,
    isDecoded: true,
    nameOf,
    ...(labels ? { labels } : {}),
    async read(indices, options = {}) {
      const reader = readerFor(options);
      const bytes = reader.shape.reduce((product, size) => product * size, 1);
      const pixels = new Uint8Array(indices.length * bytes);
      await mapConcurrently(Array.from(indices), options.concurrency ?? DEFAULT_CONCURRENCY, async (at, i) => {
        await reader.read(at, pixels.subarray(i * bytes, (i + 1) * bytes)).catch((error: unknown) => {
          throw badImage(nameOf(at), `cannot be decoded: ${reasonOf(error)}`, error);
        });
      });
      const x: HostArray = { dtype: 'uint8', shape: [indices.length, ...reader.shape], data: pixels };
      return { size: indices.length, inputs: new Map([['x', x]]), target: labels && classesOf(labels, indices) };
    },
  };
}

const classesOf = (labels: Int32Array, indices: readonly number[] | Int32Array): HostArray => ({
  dtype: 'int32',
  shape: [indices.length],
  data: Int32Array.from(indices, (i) => labels[i]!),
});

export const reasonOf = (error: unknown): string => (error as Error).message.split('\n')[0] ?? '';
