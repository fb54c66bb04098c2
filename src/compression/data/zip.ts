/**
 * Zip archives from strangers, read as streams under a budget. Nothing is ever written under an entry's name; still,
 * archives whose names leave their folder, or that hold links, are refused: they were not made by a tool that packs
 * data.
 */
import { closeSync, openSync } from 'node:fs';
import { pipeline, Transform, type Readable } from 'node:stream';
import yauzl from 'yauzl';
import { LatheError } from '../../errors.ts';

export interface ZipLimits {
  readonly entries: number;
  /** Bytes of all entries, unpacked. */
  readonly totalBytes: number;
  /** Unpacked over packed size that is believed once an archive unpacks to more than `ratioFromBytes`. */
  readonly ratio: number;
  readonly ratioFromBytes: number;
}

/** Deflate packs at most 1032:1; data that train a network pack far less. */
export const ZIP_LIMITS: ZipLimits = {
  entries: 5_000_000,
  totalBytes: 64 * 2 ** 30,
  ratio: 200,
  ratioFromBytes: 256 * 2 ** 20,
};

export interface ZipEntry {
  readonly path: string;
  readonly sizeBytes: number;
  readonly raw: yauzl.Entry;
}

export interface Zip {
  readonly limits: ZipLimits;
  readonly packedBytes: number;
  /** Descriptor of the archive, for reading entries by their place; open until `close`. */
  readonly file: number;
  /** Files only, in the archive's order. */
  readonly entries: readonly ZipEntry[];
  stream(entry: ZipEntry): Promise<Readable>;
  bytes(entry: ZipEntry): Promise<Buffer>;
  close(): void;
}

const SYMLINK = 0o120000;
const FILE_TYPE = 0o170000;

const malformed = (path: string, message: string, cause?: unknown) =>
  new LatheError('malformed-dataset', `"${path}" in the archive: ${message}`, [{ path, message }], { cause });

function checkEntry(entry: yauzl.Entry): void {
  if (((entry.externalFileAttributes >>> 16) & FILE_TYPE) === SYMLINK)
    throw malformed(entry.fileName, 'is a symbolic link');
  if (entry.isEncrypted()) throw malformed(entry.fileName, 'is encrypted');
  if (entry.compressionMethod !== 0 && entry.compressionMethod !== 8) {
    throw malformed(entry.fileName, `is packed by method ${entry.compressionMethod}; only stored and deflate are read`);
  }
}

/** Throws `too-large` where `unpacked` bytes from `packed` ones are over the limits. */
export function checkBudget(unpacked: number, packed: number, limits: ZipLimits, path: string): void {
  const overRatio = unpacked > limits.ratioFromBytes && unpacked > packed * limits.ratio;
  if (unpacked <= limits.totalBytes && !overRatio) return;
  const message =
    `unpacks to ${unpacked} bytes or more; the limit for this upload is ` +
    `${Math.min(limits.totalBytes, Math.max(limits.ratioFromBytes, packed * limits.ratio))}`;
  throw new LatheError('too-large', `"${path}" ${message}`, [{ path, message }]);
}

async function readDirectory(zip: yauzl.ZipFile, packedBytes: number, limits: ZipLimits): Promise<ZipEntry[]> {
  const entries: ZipEntry[] = [];
  const seen = new Set<string>();
  let total = 0;
  for await (const raw of zip.eachEntry()) {
    checkEntry(raw);
    if (raw.fileName.endsWith('/')) continue;
    if (seen.has(raw.fileName)) throw malformed(raw.fileName, 'appears twice');
    seen.add(raw.fileName);
    total += raw.uncompressedSize;
    checkBudget(total, packedBytes, limits, raw.fileName);
    entries.push({ path: raw.fileName, sizeBytes: raw.uncompressedSize, raw });
  }
  return entries;
}

const asMalformed = (error: unknown): unknown =>
  error instanceof LatheError
    ? error
    : new LatheError('malformed-dataset', `the zip archive cannot be read: ${(error as Error).message}`, [], {
        cause: error,
      });

/** Opens an archive and reads its directory. Errors: `malformed-dataset`, `too-large`, each with the entry's path. */
export async function openZip(path: string, packedBytes: number, limits: ZipLimits = ZIP_LIMITS): Promise<Zip> {
  let zip: yauzl.ZipFile | undefined;
  try {
    zip = await yauzl.openPromise(path, { autoClose: false });
    if (zip.entryCount > limits.entries)
      throw new LatheError('too-large', `the archive has ${zip.entryCount} entries; the limit is ${limits.entries}`);
    const entries = await readDirectory(zip, packedBytes, limits);
    return openedZip(zip, entries, { packedBytes, limits, file: openSync(path, 'r') });
  } catch (error) {
    zip?.close();
    throw asMalformed(error);
  }
}

function openedZip(
  zip: yauzl.ZipFile,
  entries: readonly ZipEntry[],
  { packedBytes, limits, file }: Pick<Zip, 'packedBytes' | 'limits' | 'file'>,
): Zip {
  let open = true;
  const stream = async (entry: ZipEntry): Promise<Readable> => {
    try {
      return renameErrors(await zip.openReadStreamPromise(entry.raw), entry.path);
    } catch (error) {
      throw malformed(entry.path, (error as Error).message, error);
    }
  };
  return {
    limits,
    packedBytes,
    file,
    entries,
    stream,
    async bytes(entry) {
      const chunks: Buffer[] = [];
      for await (const chunk of await stream(entry)) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks);
    },
    close() {
      zip.close();
      if (open) closeSync(file);
      open = false;
    },
  };
}

/** The same bytes; a damaged entry fails with its path. */
function renameErrors(source: Readable, path: string): Readable {
  const named = new Transform({ transform: (chunk, _encoding, done) => done(null, chunk) });
  // The consumer meets the error on `named`; the callback only keeps it from being unhandled on `source`.
  return pipeline(source, named, (error) => {
    if (error) named.destroy(malformed(path, error.message, error));
  });
}
