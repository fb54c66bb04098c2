/**
 * Blobs in a bucket of S3 or of a server that speaks its protocol, named `PREFIX/sha-256`. What goes there and comes
 * from there passes through a folder of this machine: the name is known only when the last byte has come, and parsers
 * and engines open files.
 */
import { createReadStream } from 'node:fs';
import { utimes } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  NoSuchKey,
  NotFound,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { LatheError } from '../errors.ts';
import type { ArtifactStore, StoredBlob } from './artifact-store.ts';
import { openLocalBlobs } from './local.ts';
import type { S3Location } from './s3-location.ts';

/**
 * Copies unused for this long are removed. Longer than the longest job, which opens its files only when it needs them.
 */
const MAX_COPY_AGE_MS = 8 * 24 * 3600 * 1000;
const CLEANUP_INTERVAL_MS = 3600 * 1000;
/** 10,000 parts, as many as there may be, make 160 GiB. */
const PART_BYTES = 16 * 2 ** 20;
const CONNECT_TIMEOUT_MS = 5000;

/** @param folder of the copies on this machine */
export async function openS3Blobs(location: S3Location, folder: string): Promise<ArtifactStore> {
  const client = clientOf(location);
  const copies = await openLocalBlobs(folder);
  const objectOf = (sha256: string) => ({ Bucket: location.bucket, Key: location.prefix + sha256 });
  const fetchObject = async (sha256: string, range?: string) =>
    (await withStoreErrors(client.send(new GetObjectCommand({ ...objectOf(sha256), Range: range })))).Body as Readable;
  const tidying = await tidyCopies(copies);
  return {
    async put(content, limitBytes) {
      const written = await copies.put(content, limitBytes);
      const Body = createReadStream(await copies.localPath(written.sha256));
      const params = { ...objectOf(written.sha256), Body };
      await withStoreErrors(new Upload({ client, params, partSize: PART_BYTES }).done());
      return written;
    },
    async read(sha256, range) {
      return (await copies.has(sha256))
        ? copies.read(sha256, range)
        : fetchObject(sha256, range && `bytes=${range.start}-${range.end}`);
    },
    async localPath(sha256) {
      if (!(await copies.has(sha256))) await copy(sha256, await fetchObject(sha256), copies);
      return touched(await copies.localPath(sha256));
    },
    has: (sha256) => withStoreErrors(hasObject(client, objectOf(sha256))),
    async delete(sha256) {
      await withStoreErrors(client.send(new DeleteObjectCommand(objectOf(sha256))));
      await copies.delete(sha256);
    },
    list: () => list(client, location),
    async check() {
      await copies.check();
      await headBucket(client, location);
    },
    async close() {
      clearInterval(tidying);
      client.destroy();
    },
  };
}

/** A copy that is used stays for longer. */
async function touched(path: string): Promise<string> {
  await utimes(path, new Date(), new Date());
  return path;
}

/** Now and at intervals. @returns the timer, to be cleared */
async function tidyCopies(copies: ArtifactStore): Promise<NodeJS.Timeout> {
  const tidy = () => removeOldCopies(copies, new Date(Date.now() - MAX_COPY_AGE_MS));
  await tidy();
  return setInterval(() => void tidy().catch(() => undefined), CLEANUP_INTERVAL_MS).unref();
}

function hasObject(client: S3Client, object: { Bucket: string; Key: string }): Promise<boolean> {
  return client.send(new HeadObjectCommand(object)).then(
    () => true,
    (error: unknown) => {
      if (error instanceof NotFound) return false;
      throw error;
    },
  );
}

/** Checks the bucket without opening a store. */
export async function checkBucket(location: S3Location): Promise<void> {
  const client = clientOf(location);
  await headBucket(client, location).finally(() => client.destroy());
}

async function headBucket(client: S3Client, { bucket }: S3Location): Promise<void> {
  await withStoreErrors(client.send(new HeadBucketCommand({ Bucket: bucket })));
}

function clientOf({ endpoint, region, credentials }: S3Location): S3Client {
  return new S3Client({
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    ...(region === null ? {} : { region }),
    ...(credentials === null ? {} : { credentials }),
    // Content is checked by its name; servers other than Amazon's do not all know the checksums that the client would
    // add.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS },
  });
}

/** Keeps the download only if its content matches the name. */
async function copy(sha256: string, content: Readable, copies: ArtifactStore): Promise<void> {
  const received = await copies.put(content, Infinity);
  if (received.sha256 === sha256) return;
  await copies.delete(received.sha256);
  throw new LatheError('internal', `The artifact store holds other content under ${sha256}`);
}

async function removeOldCopies(copies: ArtifactStore, before: Date): Promise<void> {
  for await (const { sha256, modifiedAt } of copies.list()) if (modifiedAt < before) await copies.delete(sha256);
}

async function* list(client: S3Client, { bucket, prefix }: S3Location): AsyncGenerator<StoredBlob> {
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix })) {
    for (const { Key = '', LastModified } of Contents) {
      const sha256 = Key.slice(prefix.length);
      if (/^[0-9a-f]{64}$/.test(sha256) && LastModified) yield { sha256, modifiedAt: LastModified };
    }
  }
}

/** A store that refuses or does not answer counts as unavailable; a missing object is an error of its own. */
async function withStoreErrors<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof NoSuchKey) throw error;
    const name = error instanceof Error ? error.name : String(error);
    throw new LatheError('unavailable', `The artifact store answered with an error (${name})`, [], {
      cause: error,
    });
  }
}
