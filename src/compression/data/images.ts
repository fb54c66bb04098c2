/**
 * Image folders in a zip: one folder per class, or `train`, `val`, `test` folders with the classes in them. Classes are
 * the folder names in code-unit order, as Keras and torchvision index them. Without class folders the images are
 * unlabelled. Files stay packed where they are and are decoded when they are read.
 */
import type { DatasetDescription } from '../../contracts/dataset.ts';
import { LatheError } from '../../errors.ts';
import { completeSplits, splitLengths } from './array-dataset.ts';
import type { Dataset, Split, SplitName } from './dataset.ts';
import { mapConcurrently } from './concurrency.ts';
import { imageDecoder } from './decode-image.ts';
import { isImageName, isReadableImage } from './image-names.ts';
import { badImage, DEFAULT_CONCURRENCY, imageSplit, reasonOf, type ImageFiles } from './image-split.ts';
import { EMPTY_SPLIT } from './splits.ts';
import type { Zip, ZipEntry } from './zip.ts';
import { shareEntries } from './zip-entry.ts';

const SPLIT_FOLDERS: Readonly<Record<string, SplitName>> = {
  train: 'train',
  training: 'train',
  val: 'validation',
  valid: 'validation',
  validation: 'validation',
  test: 'test',
  testing: 'test',
};
const MAX_FILE_BYTES = 256 * 2 ** 20;
/** Samples that `describe` decodes whole; of larger sets it reads the headers of the rest. */
const MAX_DECODED_AT_UPLOAD = 20_000;

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
  const files = makeSplits(zip, placed, classes, form);
  const splits = completeSplits(files);
  return {
    description: describe(splits, classes, form),
    split: (name) => splits.get(name) ?? EMPTY_SPLIT,
    close: async () => {
      for (const split of files.values()) split.close();
      zip.close();
    },
  };
}

function place(entries: readonly ZipEntry[]): Placed[] {
  const folders = entries.map((entry) => entry.path.split('/').slice(0, -1));
  const shared = commonRoot(folders);
  const placed = entries.map((entry, i): Placed => {
    if (!isReadableImage(entry.path)) throw badImage(entry.path, 'png, jpeg and webp are read; convert the others');
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
  if (stray && other) throw badImage(stray.entry.path, `lies in no class folder, "${other.entry.path}" does`);
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

async function measureImage(zip: Zip, entry: ZipEntry, decode: boolean): Promise<Size> {
  const bytes = await zip.bytes(entry);
  try {
    const image = await imageDecoder(bytes);
    const { width, height, channels, hasAlpha, space } = await image.metadata();
    if (decode) await image.stats();
    const colours = channels - (hasAlpha ? 1 : 0);
    return { height, width, channels: space === 'b-w' || space === 'grey16' ? 1 : Math.min(3, Math.max(colours, 1)) };
  } catch (error) {
    throw badImage(entry.path, `cannot be read: ${reasonOf(error)}`, error);
  }
}

type ImageSplits = Map<SplitName, ReturnType<typeof imageSplit>>;

function makeSplits(zip: Zip, placed: readonly Placed[], classes: readonly string[], form: Form): ImageSplits {
  const index = new Map(classes.map((name, i) => [name, i]));
  const names = [...new Set(placed.map(({ split }) => split))];
  return new Map(
    names.map((name) => {
      const files = placed.filter(({ split }) => split === name);
      return [name, imageSplit(imageFiles(zip, files, index, form))];
    }),
  );
}

function imageFiles(
  zip: Zip,
  files: readonly Placed[],
  index: ReadonlyMap<string, number>,
  { size, channels }: Form,
): ImageFiles {
  return {
    files: shareEntries(
      zip.file,
      files.map(({ entry }) => entry),
    ),
    count: files.length,
    labels: index.size > 0 ? Int32Array.from(files, ({ className }) => index.get(className ?? '') ?? -1) : null,
    size,
    channels,
    nameOf: (at) => files[at]?.entry.path ?? `#${at}`,
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
