/**
 * Blobs on this machine's disk, named by the sha-256 of their content: `ab/abcdef...`. A blob appears whole, by a
 * rename after fsync; what is being written lies in `tmp/` under a name that tells its writer.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, mkdir, open, readdir, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { isDiskFull, LatheError } from '../errors.ts';
import { isAlive } from '../process/liveness.ts';
import type { ArtifactStore, StoredBlob } from './artifact-store.ts';

const SHA256 = /^[0-9a-f]{64}$/;
const TEMPORARY = /^(.+)-(\d+)-[0-9a-f]{16}$/;
/** After this, a temporary file of another machine's process counts as abandoned. */
const FOREIGN_TEMPORARY_TTL_MS = 24 * 3600 * 1000;
const PROBE_BYTES = 64 * 1024;

/** Creates the folder if needed, and removes what dead writers left in it. */
export async function openLocalBlobs(folder: string): Promise<ArtifactStore> {
  const temporary = join(folder, 'tmp');
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  await sweepTemporary(temporary);
  const pathOf = (sha256: string): string => {
    if (!SHA256.test(sha256)) throw new Error(`"${sha256}" is not a SHA-256`);
    return join(folder, sha256.slice(0, 2), sha256);
  };
  const temporaryPath = () => join(temporary, `${hostname()}-${process.pid}-${randomBytes(8).toString('hex')}`);
  return {
    put: (content, limitBytes) => put(content, { limitBytes, unfinished: temporaryPath(), pathOf }),
    async read(sha256, range) {
      const file = await open(pathOf(sha256));
      return createReadStream('', { fd: file, ...range });
    },
    async localPath(sha256) {
      const path = pathOf(sha256);
      await access(path);
      return path;
    },
    async has(sha256) {
      return access(pathOf(sha256)).then(
        () => true,
        () => false,
      );
    },
    async delete(sha256) {
      await rm(pathOf(sha256), { force: true });
    },
    list: () => list(folder),
    check: () => probe(temporaryPath()),
    close: async () => undefined,
  };
}

interface Placement {
  readonly limitBytes: number;
  /** Path of the file while it is written. */
  readonly unfinished: string;
  pathOf(sha256: string): string;
}

async function put(
  content: Readable,
  { limitBytes, unfinished, pathOf }: Placement,
): Promise<{ sha256: string; sizeBytes: number }> {
  try {
    const { sha256, sizeBytes } = await write(content, limitBytes, unfinished);
    const path = pathOf(sha256);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await rename(unfinished, path);
    await syncFolder(dirname(path));
    return { sha256, sizeBytes };
  } catch (error) {
    await rm(unfinished, { force: true });
    throw isDiskFull(error)
      ? new LatheError('unavailable', 'The disk of the artifact store is full', [], { cause: error })
      : error;
  }
}

/** The stream is left open where this ends early: a request's socket is still needed for the answer. */
async function write(
  content: Readable,
  limitBytes: number,
  path: string,
): Promise<{ sha256: string; sizeBytes: number }> {
  const file = await open(path, 'wx', 0o600);
  try {
    const hash = createHash('sha256');
    let sizeBytes = 0;
    for await (const chunk of content.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      if (sizeBytes > limitBytes)
        throw new LatheError('too-large', `The file is larger than the limit of ${limitBytes} bytes`, [
          { path: 'file', message: `at most ${limitBytes} bytes` },
        ]);
      hash.update(chunk);
      await writeAll(file, chunk);
    }
    await file.sync();
    return { sha256: hash.digest('hex'), sizeBytes };
  } finally {
    await file.close();
  }
}

/** @throws Error if a small file cannot be written; an empty one would fit even on a full disk */
async function probe(path: string): Promise<void> {
  try {
    await writeFile(path, Buffer.alloc(PROBE_BYTES), { flag: 'wx' });
  } finally {
    await rm(path, { force: true });
  }
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let written = 0; written < chunk.length; ) written += (await file.write(chunk, written)).bytesWritten;
}

/** Makes the rename survive a power cut. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function sweepTemporary(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const [, host, pid] = TEMPORARY.exec(name) ?? [];
    const writer = host === hostname() ? Number(pid) : null;
    const left =
      writer === null
        ? Date.now() - (await stat(path)).mtimeMs > FOREIGN_TEMPORARY_TTL_MS
        : writer === process.pid || !isAlive(writer);
    if (left) await rm(path, { force: true });
  }
}

async function* list(folder: string): AsyncGenerator<StoredBlob> {
  for (const shard of await readdir(folder)) {
    if (!/^[0-9a-f]{2}$/.test(shard)) continue;
    for (const sha256 of await readdir(join(folder, shard))) {
      const found = SHA256.test(sha256) ? await stat(join(folder, shard, sha256)).catch(() => null) : null;
      if (found) yield { sha256, modifiedAt: found.mtime };
    }
  }
}
