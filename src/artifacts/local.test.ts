import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ArtifactStore } from './artifact-store.ts';
import { openLocalBlobs } from './local.ts';

let folder: string;
let blobs: ArtifactStore;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-blobs-'));
  blobs = await openLocalBlobs(folder);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const files = () =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
const streamOf = (...chunks: string[]) => Readable.from(chunks.map((chunk) => Buffer.from(chunk)));

describe('a blob', () => {
  test('is named by its content and read back whole or in part', async () => {
    const { sha256, sizeBytes } = await blobs.put(streamOf('hello ', 'world'), 100);
    expect(sha256).toBe(createHash('sha256').update('hello world').digest('hex'));
    expect(sizeBytes).toBe(11);
    expect(await text(await blobs.read(sha256))).toBe('hello world');
    expect(await text(await blobs.read(sha256, { start: 2, end: 4 }))).toBe('llo');
    expect(readFileSync(await blobs.localPath(sha256), 'utf8')).toBe('hello world');
  });

  test('that is there already stays one file', async () => {
    const first = await blobs.put(streamOf('same'), 100);
    expect(await blobs.put(streamOf('sa', 'me'), 100)).toEqual(first);
    expect(files()).toEqual([first.sha256]);
  });

  test('can be empty', async () => {
    const { sha256, sizeBytes } = await blobs.put(Readable.from([]), 100);
    expect(sizeBytes).toBe(0);
    expect(await text(await blobs.read(sha256))).toBe('');
  });

  test('is gone after it is deleted', async () => {
    const { sha256 } = await blobs.put(streamOf('x'), 100);
    await blobs.delete(sha256);
    expect(await blobs.has(sha256)).toBe(false);
    await expect(blobs.read(sha256)).rejects.toThrow('ENOENT');
    await expect(blobs.localPath(sha256)).rejects.toThrow('ENOENT');
  });

  test('is named by nothing but a sha-256', async () => {
    await expect(blobs.read('../../etc/passwd')).rejects.toThrow('is not a SHA-256');
  });
});

describe('nothing is left behind', () => {
  test('of content over the limit, whose stream stays open', async () => {
    const source = streamOf('12345', '67890', 'more');
    await expect(blobs.put(source, 9)).rejects.toMatchObject({ code: 'too-large' });
    expect(files()).toEqual([]);
    expect(source.destroyed).toBe(false);
  });

  test('of a stream that breaks off', async () => {
    const source = new Readable({
      read() {
        this.push('part');
        this.destroy(new Error('connection lost'));
      },
    });
    await expect(blobs.put(source, 100)).rejects.toThrow('connection lost');
    expect(files()).toEqual([]);
  });

  test('of writers that were killed, at the next start; living ones are left alone', async () => {
    const dead = 2 ** 22 - 1;
    writeFileSync(join(folder, 'tmp', `${hostname()}-${dead}-0123456789abcdef`), 'half');
    writeFileSync(join(folder, 'tmp', `${hostname()}-${process.ppid}-0123456789abcdef`), 'growing');
    writeFileSync(join(folder, 'tmp', `elsewhere-${dead}-0123456789abcdef`), 'growing');
    await openLocalBlobs(folder);
    expect(files().toSorted()).toEqual(
      [`elsewhere-${dead}-0123456789abcdef`, `${hostname()}-${process.ppid}-0123456789abcdef`].toSorted(),
    );
  });
});

test('all blobs are listed, unfinished ones are not', async () => {
  const made = await Promise.all(['a', 'b', 'c'].map((content) => blobs.put(streamOf(content), 10)));
  writeFileSync(join(folder, 'tmp', 'something'), '');
  const listed: string[] = [];
  for await (const { sha256, modifiedAt } of blobs.list()) {
    listed.push(sha256);
    expect(Math.abs(modifiedAt.getTime() - Date.now())).toBeLessThan(60_000);
  }
  expect(listed.toSorted()).toEqual(made.map(({ sha256 }) => sha256).toSorted());
});
