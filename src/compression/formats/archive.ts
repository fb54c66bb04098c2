/** Unpacks zip and gzip archives of models in memory, under a budget. */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import yauzl from 'yauzl';
import { ZipFile } from 'yazl';
import { LatheError } from '../../errors.ts';

export interface ArchiveLimits {
  /** Bytes of all members together, unpacked. */
  readonly totalBytes: number;
  readonly members: number;
}

/** A model's own limit is that of the upload; unpacked it may be somewhat larger, not a thousand times. */
export const ARCHIVE_LIMITS: ArchiveLimits = { totalBytes: 2 ** 31, members: 10_000 };

const GZIP_MAGIC = [0x1f, 0x8b];
const ZIP_MAGIC = [0x50, 0x4b, 0x03, 0x04];
const startsWith = (bytes: Uint8Array, magic: readonly number[]): boolean =>
  magic.every((byte, i) => bytes[i] === byte);

export const isGzip = (bytes: Uint8Array): boolean => startsWith(bytes, GZIP_MAGIC);
export const isZip = (bytes: Uint8Array): boolean => startsWith(bytes, ZIP_MAGIC);

/** @throws LatheError `too-large` over the limit, `malformed-model` where the stream is damaged. */
export async function unpackGzip(bytes: Uint8Array, limits: ArchiveLimits = ARCHIVE_LIMITS): Promise<Uint8Array> {
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: limits.totalBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new LatheError('too-large', `The gzip file unpacks to more than ${limits.totalBytes} bytes`);
    throw new LatheError('malformed-model', `The gzip file is damaged: ${(error as Error).message}`, [], {
      cause: error,
    });
  }
}

/** All files of a zip, by path. Names are only compared, never written to disk. */
export async function unpackZip(
  bytes: Uint8Array,
  limits: ArchiveLimits = ARCHIVE_LIMITS,
): Promise<Map<string, Uint8Array>> {
  const members = new Map<string, Uint8Array>();
  let left = limits.totalBytes;
  try {
    const zip = await yauzl.fromBufferPromise(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    if (zip.entryCount > limits.members)
      throw new LatheError('too-large', `The archive has ${zip.entryCount} members; the limit is ${limits.members}`);
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName.endsWith('/')) continue;
      if (members.has(entry.fileName))
        throw new LatheError('malformed-model', `The archive holds "${entry.fileName}" twice`, [
          { path: entry.fileName, message: 'appears twice' },
        ]);
      if (entry.uncompressedSize > left)
        throw new LatheError(
          'too-large',
          `"${entry.fileName}" brings the archive over ${limits.totalBytes} bytes unpacked`,
          [{ path: entry.fileName, message: 'over the limit' }],
        );
      const content = storedBytes(bytes, entry) ?? (await readEntry(zip, entry));
      left -= content.length;
      members.set(entry.fileName, content);
    }
    return members;
  } catch (error) {
    if (error instanceof LatheError) throw error;
    throw new LatheError('malformed-model', `The zip file is damaged: ${(error as Error).message}`, [], {
      cause: error,
    });
  }
}

const STORED = 0;
const LOCAL_HEADER_BYTES = 30;

/**
 * A member that is not compressed lies in the archive as it is, behind its local header (APPNOTE 4.3.7): a view on it
 * needs no copy. null: to be unpacked.
 */
function storedBytes(archive: Uint8Array, entry: yauzl.Entry): Uint8Array | null {
  const { compressionMethod, compressedSize, uncompressedSize, relativeOffsetOfLocalHeader: header } = entry;
  if (
    compressionMethod !== STORED ||
    entry.isEncrypted() ||
    compressedSize !== uncompressedSize ||
    header + LOCAL_HEADER_BYTES > archive.length
  )
    return null;
  const fields = new DataView(archive.buffer, archive.byteOffset + header, LOCAL_HEADER_BYTES);
  const start = header + LOCAL_HEADER_BYTES + fields.getUint16(26, true) + fields.getUint16(28, true);
  const isHeader = ZIP_MAGIC.every((byte, i) => fields.getUint8(i) === byte);
  return isHeader && start + compressedSize <= archive.length ? archive.subarray(start, start + compressedSize) : null;
}

/** yauzl itself ends a stream that yields more or fewer bytes than the directory declares. */
async function readEntry(zip: yauzl.ZipFile, entry: yauzl.Entry): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

/** The members as one zip. Equal members give equal bytes: no time of writing is stored. */
export async function packZip(members: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
  const zip = new ZipFile();
  for (const [path, content] of members)
    zip.addBuffer(Buffer.from(content.buffer, content.byteOffset, content.length), path, {
      mtime: new Date(1980, 0, 1),
      mode: 0o100644,
      forceDosTimestamp: true,
    });
  zip.end();
  const chunks: Uint8Array[] = [];
  for await (const chunk of zip.outputStream) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}
