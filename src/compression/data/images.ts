/**
 * Image folders in a zip: one folder per class, or `train`, `val`, `test` folders with the classes in them. Classes are
 * the folder names in code-unit order, as Keras and torchvision index them. Without class folders the images are
 * unlabelled. Files stay packed where they are and are decoded when they are read.
 */
import sharp from 'sharp';
import type { DatasetDescription } from '../../contracts/dataset.ts';
import { LatheError } from '../../errors.ts';
import { completeSplits, splitLengths } from './array-dataset.ts';
import type { Dataset, ReadOptions, Split, SplitName } from './dataset.ts';
import { mapConcurrently } from './concurrency.ts';
import { isImageName, isReadableImage } from './image-names.ts';
import { resizeImages } from './resize.ts';
import { EMPTY_SPLIT } from './splits.ts';
import type { Zip, ZipEntry } from './zip.ts';

const SPLIT_FOLDERS: Readonly<Record<string, SplitName>> = {
  train: 'train',
  training: 'train',
  val: 'validation',
  valid: 'validation',
  validation: 'validation',
  test: 'test',
  testing: 'test',
};
const MAX_PIXELS = 100_000_000;
const MAX_FILE_BYTES = 256 * 2 ** 20;
const DEFAULT_CONCURRENCY = 4;
/** Samples that `describe` decodes whole; of larger sets it reads the headers of the rest. */
const MAX_DECODED_AT_UPLOAD = 20_000;

const bad = (path: string, message: string, cause?: unknown) =>
  new LatheError('malformed-dataset', `image "${path}": ${message}`, [{ path, message }], { cause });

interface Placed {
  readonly entry: ZipEntry;
  readonly split: SplitName;
  /** null: no class folder. */
  readonly className: string | null;
}

interface Size {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** `verify`: every image is decoded once (at upload), so that a damaged one is found and named before a job runs. */
export async function openImages(zip: Zip, verify: boolean): Promise<Dataset> {
  const placed = place(zip.entries.filter((entry) => isImageName(entry.path)));
  const classes = [...new Set(placed.map(({ className }) => className))].filter((name) => name !== null).sort();
  const form = await scanImages(zip, placed, verify);
  const splits = completeSplits(makeSplits(zip, placed, classes, form));
  return {
    description: describe(splits, classes, form),
    split: (name) => splits.get(name) ?? EMPTY_SPLIT,
    close: async () => zip.close(),
  };
}

function place(entries: readonly ZipEntry[]): Placed[] {
  const folders = entries.map((entry) => entry.path.split('/').slice(0, -1));
  const shared = commonRoot(folders);
  const placed = entries.map((entry, i): Placed => {
    if (!isReadableImage(entry.path)) throw bad(entry.path, 'png, jpeg and webp are read; convert the others');
    if (entry.sizeBytes > MAX_FILE_BYTES)
      throw new LatheError('too-large', `image "${entry.path}" is larger than ${MAX_FILE_BYTES} bytes`, [
        { path: entry.path, message: 'is too large' },
      ]);
    const [first, ...rest] = folders[i]?.slice(shared) ?? [];
    const split = first === undefined ? undefined : SPLIT_FOLDERS[first.toLowerCase()];
    const classFolder = split ? rest[0] : first;
    return { entry, split: split ?? 'train', className: classFolder ?? null };
  });
  const labelled = placed.filter(({ className }) => className !== null);
  const stray = placed.find(({ className }) => className === null);
  const [other] = labelled;
  if (stray && other) throw bad(stray.entry.path, `lies in no class folder, "${other.entry.path}" does`);
  if (!placed.some(({ split }) => split === 'train'))
    throw new LatheError('malformed-dataset', 'the archive has no images for training');
  return placed;
}

/** Number of leading folders that all files share and that are neither split nor, as the last ones, class folders. */
function commonRoot(folders: readonly (readonly string[])[]): number {
  let shared = 0;
  for (;;) {
    const name = folders[0]?.[shared];
    if (name === undefined || SPLIT_FOLDERS[name.toLowerCase()]) return shared;
    if (!folders.every((folder) => folder[shared] === name && folder.length > shared + 1)) return shared;
    shared++;
  }
}

/**
 * What the images have in common: `size` null where heights and widths differ; 3 channels as soon as one image has
 * colour.
 */
interface Form {
  readonly size: readonly [number, number] | null;
  readonly channels: 1 | 3;
}

async function scanImages(zip: Zip, placed: readonly Placed[], verify: boolean): Promise<Form> {
  let size: [number, number] | null | undefined;
  let channels: 1 | 3 = 1;
  await mapConcurrently(placed, DEFAULT_CONCURRENCY, async ({ entry }, i) => {
    const found = await measureImage(zip, entry, verify && i < MAX_DECODED_AT_UPLOAD);
    if (found.channels >= 3) channels = 3;
    size =
      size === undefined
        ? [found.height, found.width]
        : size && size[0] === found.height && size[1] === found.width
          ? size
          : null;
  });
  return { size: size ?? null, channels };
}

const decoder = (bytes: Buffer) => sharp(bytes, { failOn: 'error', limitInputPixels: MAX_PIXELS, animated: false });

async function measureImage(zip: Zip, entry: ZipEntry, decode: boolean): Promise<Size> {
  const bytes = await zip.bytes(entry);
  try {
    const image = decoder(bytes);
    const { width, height, channels, hasAlpha, space } = await image.metadata();
    if (decode) await image.stats();
    const colours = channels - (hasAlpha ? 1 : 0);
    return { height, width, channels: space === 'b-w' || space === 'grey16' ? 1 : Math.min(3, Math.max(colours, 1)) };
  } catch (error) {
    throw bad(entry.path, `cannot be read: ${(error as Error).message.split('\n')[0]}`, error);
  }
}

/**
 * Pixels [h, w, c] in `size`: alpha dropped, greys spread to three channels where the set has colour. Resized here and
 * not by libvips, whose enlarging differs from what the training libraries do: this is Pillow's BILINEAR to within one
 * level.
 */
async function decodeImage(
  zip: Zip,
  entry: ZipEntry,
  size: readonly [number, number],
  channels: 1 | 3,
): Promise<Uint8Array> {
  const bytes = await zip.bytes(entry);
  try {
    const { data, info } = await decoder(bytes)
      .removeAlpha()
      .toColourspace(channels === 1 ? 'b-w' : 'srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return resizeImages({ dtype: 'uint8', shape: [1, info.height, info.width, channels], data }, channels, size)
      .data as Uint8Array;
  } catch (error) {
    throw bad(entry.path, `cannot be decoded: ${(error as Error).message.split('\n')[0]}`, error);
  }
}

function makeSplits(
  zip: Zip,
  placed: readonly Placed[],
  classes: readonly string[],
  form: Form,
): Map<SplitName, Split> {
  const index = new Map(classes.map((name, i) => [name, i]));
  const names = [...new Set(placed.map(({ split }) => split))];
  return new Map(
    names.map((name) => [
      name,
      imageSplit(
        zip,
        placed.filter(({ split }) => split === name),
        index,
        form,
      ),
    ]),
  );
}

function imageSplit(zip: Zip, files: readonly Placed[], index: ReadonlyMap<string, number>, form: Form): Split {
  const labels = index.size > 0 ? Int32Array.from(files, ({ className }) => index.get(className ?? '') ?? -1) : null;
  return {
    length: files.length,
    ...(labels ? { labels } : {}),
    async read(indices, options: ReadOptions = {}) {
      const size = options.imageSize ?? form.size;
      if (!size)
        throw new LatheError(
          'shape-mismatch',
          'the images differ in size; transform.resize must say to which size they are brought',
        );
      const bytes = size[0] * size[1] * form.channels;
      const pixels = new Uint8Array(indices.length * bytes);
      await mapConcurrently(Array.from(indices), options.concurrency ?? DEFAULT_CONCURRENCY, async (at, i) => {
        pixels.set(await decodeImage(zip, files[at]!.entry, size, form.channels), i * bytes);
      });
      return {
        size: indices.length,
        inputs: new Map([['x', { dtype: 'uint8', shape: [indices.length, ...size, form.channels], data: pixels }]]),
        target: labels && {
          dtype: 'int32',
          shape: [indices.length],
          data: Int32Array.from(indices, (i) => labels[i]!),
        },
      };
    },
  };
}

function describe(splits: ReadonlyMap<SplitName, Split>, classes: readonly string[], form: Form): DatasetDescription {
  const lengths = splitLengths(splits);
  return {
    format: 'images',
    samples: lengths.train + lengths.validation + lengths.test,
    splits: lengths,
    inputs: [{ name: 'x', dtype: 'uint8', shape: [form.size?.[0] ?? null, form.size?.[1] ?? null, form.channels] }],
    target:
      classes.length > 0
        ? { kind: 'classes', classes: classes.length, names: [...classes] }
        : { kind: 'none', classes: null },
  };
}
