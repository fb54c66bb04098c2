/** Downloads that go on where a lost connection broke them, and end with the right bytes or none. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { ProblemError } from './problem-error.ts';
import { Retries } from './retry.ts';

export interface DownloadOptions {
  /** Lost connections in a row, without any byte between, before it is given up; default 10. */
  readonly retries?: number;
  readonly signal?: AbortSignal;
}

export interface Download {
  readonly file: string;
  /** Of the whole content, lower-case hex. */
  readonly sha256: string;
  /** Requests the content from this byte on. */
  request(from: number): Promise<Response>;
}

/**
 * Writes to a name beside `file` that holds the start of the sha-256, then renames: `file` is whole or absent. What a
 * broken download leaves there is gone on with by the next one.
 * @throws ProblemError where the service refuses; Error where the content has another sha-256
 */
export async function download(what: Download, { retries = 10, signal }: DownloadOptions = {}): Promise<void> {
  const part = `${what.file}.${what.sha256.slice(0, 16)}.part`;
  const tries = new Retries(retries, signal);
  for (;;) {
    const hash = createHash('sha256');
    try {
      await fetchRest(what, part, hash, () => tries.progressed());
    } catch (error) {
      tries.failed(error);
      await tries.wait();
      continue;
    }
    return finish(what, part, hash.digest('hex'));
  }
}

async function finish({ file, sha256 }: Download, part: string, actual: string): Promise<void> {
  if (actual === sha256) return rename(part, file);
  await rm(part, { force: true });
  throw new Error(`${file}: the download's sha-256 is ${actual}, not ${sha256}`);
}

/** Appends to `part` what it lacks; `hash` is given the whole content. */
async function fetchRest(what: Download, part: string, hash: Hash, progressed: () => void): Promise<void> {
  const from = await hashFile(part, hash);
  if (from > 0 && hash.copy().digest('hex') === what.sha256) return;
  const response = from === 0 ? await what.request(0) : await requestRest(what, from, part);
  const target = await open(part, 'a');
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      await target.writeFile(chunk);
      hash.update(chunk);
      progressed();
    }
  } finally {
    await target.close();
  }
}

/** What cannot be gone on with is removed, so that the next try begins anew. */
async function requestRest(what: Download, from: number, part: string): Promise<Response> {
  try {
    const response = await what.request(from);
    if (response.status === 206) return response;
    await response.body?.cancel();
  } catch (error) {
    if (!(error instanceof ProblemError && error.status === 416)) throw error;
  }
  await rm(part, { force: true });
  throw new Error(`${what.file}: the service does not send the content from byte ${from} on`);
}

/** The size of a file, whose content is given to `hash`; 0 where there is none. */
async function hashFile(path: string, hash: Hash): Promise<number> {
  if (!existsSync(path)) return 0;
  let bytes = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Uint8Array>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return bytes;
}
