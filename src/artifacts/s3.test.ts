import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startS3, type TestS3 } from '../../test/support/s3.ts';
import type { ArtifactStore } from './artifact-store.ts';
import { openS3Blobs } from './s3.ts';
import { parseS3Url, type S3Location } from './s3-location.ts';

let server: TestS3;
let location: S3Location;
beforeAll(async () => {
  server = await startS3();
  location = parseS3Url(server.url)!;
});
afterAll(() => server.stop());

const folders: string[] = [];
const opened: ArtifactStore[] = [];
/** A machine of its own: an empty folder of copies in front of the one bucket. */
async function machine(at: S3Location = location): Promise<ArtifactStore> {
  folders.push(mkdtempSync(join(tmpdir(), 'lathe-s3-')));
  opened.push(await openS3Blobs(at, folders.at(-1)!));
  return opened.at(-1)!;
}
let blobs: ArtifactStore;
beforeEach(async () => (blobs = await machine()));
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const files = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
const streamOf = (...chunks: (string | Buffer)[]) => Readable.from(chunks.map((chunk) => Buffer.from(chunk)));

describe('a blob in a bucket', () => {
  test('that one machine wrote is read by another, whole, in part, and as a file', async () => {
    const { sha256, sizeBytes } = await blobs.put(streamOf('hello ', 'world'), 100);
    expect([sha256, sizeBytes]).toEqual([createHash('sha256').update('hello world').digest('hex'), 11]);
    const other = await machine();
    expect(await other.has(sha256)).toBe(true);
    expect(await text(await other.read(sha256))).toBe('hello world');
    expect(await text(await other.read(sha256, { start: 2, end: 4 }))).toBe('llo');
    expect(files(folders.at(-1)!)).toEqual([]);
    expect(readFileSync(await other.localPath(sha256), 'utf8')).toBe('hello world');
    expect(await text(await other.read(sha256, { start: 2, end: 4 }))).toBe('llo');
  });

  test('may be empty, or of several parts', async () => {
    const large = randomBytes(33 * 2 ** 20);
    const stored = [await blobs.put(Readable.from([]), 100), await blobs.put(streamOf(large), 2 ** 30)];
    const other = await machine();
    const read = await Promise.all(stored.map(async ({ sha256 }) => buffer(await other.read(sha256))));
    expect(read.map(({ length }) => length)).toEqual([0, large.length]);
    expect(read[1]!.equals(large)).toBe(true);
  });

  test('is gone for all after it is deleted', async () => {
    const { sha256 } = await blobs.put(streamOf('short-lived'), 100);
    const other = await machine();
    await blobs.delete(sha256);
    expect([await blobs.has(sha256), await other.has(sha256)]).toEqual([false, false]);
    await expect(blobs.read(sha256)).rejects.toThrow();
    await expect(other.localPath(sha256)).rejects.toThrow();
  });

  test('over the limit leaves nothing behind, here or there', async () => {
    await expect(blobs.put(streamOf('12345', '67890'), 9)).rejects.toMatchObject({ code: 'too-large' });
    expect(files(folders[0]!)).toEqual([]);
    expect(await blobs.has(createHash('sha256').update('1234567890').digest('hex'))).toBe(false);
  });

  test('is listed with its age', async () => {
    const { sha256 } = await blobs.put(streamOf('listed'), 100);
    const ages = new Map<string, number>();
    for await (const blob of (await machine()).list()) ages.set(blob.sha256, Date.now() - blob.modifiedAt.getTime());
    expect(Math.abs(ages.get(sha256)!)).toBeLessThan(60_000);
  });
});

test('copies that nobody asked for in more than a week are removed, the blobs stay', async () => {
  const { sha256 } = await blobs.put(streamOf('old'), 100);
  const longAgo = new Date(Date.now() - 9 * 24 * 3600 * 1000);
  utimesSync(await blobs.localPath(sha256), longAgo, longAgo);
  const again = await openS3Blobs(location, folders[0]!);
  opened.push(again);
  expect(files(folders[0]!)).toEqual([]);
  expect(await text(await again.read(sha256))).toBe('old');
});

test.each([
  ['a bucket that is not there', { bucket: 'nowhere' }],
  ['keys that are not known', { credentials: { accessKeyId: 'nobody', secretAccessKey: 'wrong' } }],
  ['a server that is gone', { endpoint: 'http://127.0.0.1:9' }],
])('%s: unavailable', async (_name, wrong) => {
  await blobs.check();
  const store = await machine({ ...location, ...wrong });
  await expect(store.put(streamOf('x'), 10)).rejects.toMatchObject({ code: 'unavailable' });
  await expect(store.read('0'.repeat(64))).rejects.toMatchObject({ code: 'unavailable' });
  // s3rver asks for none at HEAD
  if (!('credentials' in wrong)) await expect(store.check()).rejects.toMatchObject({ code: 'unavailable' });
});
