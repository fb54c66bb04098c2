/** Opens an uploaded dataset; its bytes and, in a zip, the names of the entries decide its format. */
import { open, stat } from 'node:fs/promises';
import type { DatasetDescription } from '../../contracts/dataset.ts';
import { LatheError } from '../../errors.ts';
import { openCsv } from './csv.ts';
import { isUtf16 } from './csv/text.ts';
import type { Dataset } from './dataset.ts';
import { isIdxName, openIdx } from './idx.ts';
import { isImageName, isSystemFile } from './image-names.ts';
import { openNpz } from './npz.ts';
import { openZip, ZIP_LIMITS, type Zip, type ZipLimits } from './zip.ts';

export interface OpenOptions {
  readonly limits?: ZipLimits;
  /** Decode every image once, to name a damaged one now. */
  readonly verify?: boolean;
}

/**
 * `options` are the upload's query parameters: `target` and `targetKind` (csv). Errors: `unsupported-format`,
 * `malformed-dataset`,
 * `too-large`, `invalid-request`. The caller closes the dataset.
 */
export async function openDataset(
  path: string,
  options: Readonly<Record<string, string>>,
  { limits = ZIP_LIMITS, verify = false }: OpenOptions = {},
): Promise<Dataset> {
  const { size } = await stat(path);
  if (size === 0) throw new LatheError('malformed-dataset', 'the file is empty');
  const head = await firstBytes(path, 4096);
  if (head.subarray(0, 2).toString('latin1') === 'PK') return openArchive(await openZip(path, size, limits), verify);
  if (head.subarray(0, 4).toString('latin1') === 'PAR1')
    throw new LatheError('unsupported-format', 'Parquet files are not read yet; upload csv or npz');
  if (head.subarray(0, 6).toString('latin1') === '\x93NUMPY')
    throw new LatheError(
      'unsupported-format',
      'this is a single .npy array; save arrays x and y together with numpy.savez',
    );
  if (looksLikeText(head)) return openCsv(path, options);
  throw new LatheError('unsupported-format', 'the file is neither a zip archive (npz, idx, images) nor a csv table');
}

/** Describes an uploaded file: reads everything once and decodes images. */
export async function describeDataset(
  path: string,
  options: Readonly<Record<string, string>>,
  limits: ZipLimits = ZIP_LIMITS,
): Promise<DatasetDescription> {
  const dataset = await openDataset(path, options, { limits, verify: true });
  await dataset.close();
  return dataset.description;
}

async function firstBytes(path: string, count: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(count), 0, count, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Bytes without control characters, in whatever encoding (the reader names what is not UTF-8), or marked as UTF-16. */
function looksLikeText(head: Buffer): boolean {
  if (isUtf16(head)) return true;
  return head.every((byte) => byte >= 32 || byte === 9 || byte === 10 || byte === 13);
}

async function openArchive(zip: Zip, verify: boolean): Promise<Dataset> {
  const visible = { ...zip, entries: zip.entries.filter((entry) => !isSystemFile(entry.path)) };
  let keep = false;
  try {
    if (visible.entries.length === 0) throw new LatheError('malformed-dataset', 'the archive holds no files');
    if (visible.entries.some(({ path }) => path.endsWith('.npy'))) return await openNpz(visible);
    if (visible.entries.some(({ path }) => isImageName(path))) {
      const { openImages } = await import('./images.ts'); // loads libvips
      const dataset = await openImages(visible, verify);
      keep = true; // images are read from the archive as long as the dataset is open
      return dataset;
    }
    if (visible.entries.some(({ path }) => isIdxName(path))) return await openIdx(visible);
    const some = visible.entries
      .slice(0, 5)
      .map(({ path }) => `"${path}"`)
      .join(', ');
    throw new LatheError(
      'unsupported-format',
      `the archive holds neither .npy arrays, nor idx files, nor images; it holds ${some}`,
    );
  } finally {
    if (!keep) zip.close();
  }
}
