/**
 * Takes an uploaded model or dataset: stream to the blob store, description by the inspector, row. Nothing stays behind
 * of one that fails.
 */
import type { Readable } from 'node:stream';
import type { LimitFunction } from 'p-limit';
import { LatheError } from '../errors.ts';
import { newId } from '../ids.ts';
import type { BlobReferences } from './blob-references.ts';
import type { DatasetRepository, ModelRepository, StoredDataset, StoredModel, Usage } from './ports/api-side.ts';
import type { BlobStore } from './ports/blobs.ts';
import type { Inspector } from './ports/inspector.ts';
import type { TenantLimitSource } from './ports/tenant-limits.ts';

export interface UploadDeps {
  readonly models: ModelRepository;
  readonly datasets: DatasetRepository;
  readonly usage: Usage;
  readonly blobs: BlobStore;
  readonly blobReferences: BlobReferences;
  readonly inspector: Inspector;
  readonly tenantLimits: TenantLimitSource;
  /** Uploads at a time; more are turned away. */
  readonly uploads: LimitFunction;
  /** Inspections at a time; more wait for their turn. */
  readonly inspections: LimitFunction;
}

export interface Upload {
  readonly tenantId: string;
  readonly name: string;
  readonly content: Readable;
  /** Where the client says it; a file that is announced as too large is not read. */
  readonly declaredBytes: number | null;
}

interface Received {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly path: string;
}

export async function uploadModel(deps: UploadDeps, upload: Upload): Promise<StoredModel> {
  return receive(deps, upload, 'modelBytes', async ({ sha256, sizeBytes, path }) => {
    const known = await deps.models.findByContent(upload.tenantId, sha256);
    if (known) return known;
    const description = await deps.inspections(() => deps.inspector.model(path));
    return deps.models.add({
      id: newId('model'),
      tenantId: upload.tenantId,
      name: upload.name,
      sha256,
      sizeBytes,
      description,
    });
  });
}

/**
 * @param options how the file is to be read (csv: the target column): the same bytes read otherwise are another dataset
 */
export async function uploadDataset(
  deps: UploadDeps,
  upload: Upload,
  options: Record<string, string>,
): Promise<StoredDataset> {
  return receive(deps, upload, 'datasetBytes', async ({ sha256, sizeBytes, path }) => {
    const known = await deps.datasets.findByContent(upload.tenantId, sha256, options);
    if (known) return known;
    const description = await deps.inspections(() => deps.inspector.dataset(path, options));
    return deps.datasets.add({
      id: newId('dataset'),
      tenantId: upload.tenantId,
      name: upload.name,
      sha256,
      sizeBytes,
      description,
      options,
    });
  });
}

async function receive<T>(
  deps: UploadDeps,
  upload: Upload,
  bound: 'modelBytes' | 'datasetBytes',
  keep: (received: Received) => Promise<T>,
): Promise<T> {
  const { blobs, blobReferences, uploads } = deps;
  const allowed = await allowedBytes(deps, upload, bound);
  if (uploads.activeCount >= uploads.concurrency)
    throw new LatheError('rate-limited', 'Too many uploads are under way; try again in a moment');
  const received = await uploads(async () => {
    const blob = await readAll(blobs, upload.content, allowed);
    return { ...blob, release: blobReferences.hold(blob.sha256) };
  });
  try {
    const kept = await keep({ ...received, path: await blobs.localPath(received.sha256) });
    // Another process may have taken the same bytes for unused just now.
    if (!(await blobs.has(received.sha256)))
      throw new LatheError('unavailable', 'The file was removed while it was being stored; upload it again');
    return kept;
  } finally {
    await received.release();
  }
}

async function allowedBytes(
  { usage, tenantLimits }: UploadDeps,
  { tenantId, declaredBytes }: Upload,
  bound: 'modelBytes' | 'datasetBytes',
): Promise<number> {
  const limits = await tenantLimits.limitsOf(tenantId);
  const limitBytes = limits[bound];
  if (declaredBytes !== null && declaredBytes > limitBytes) {
    throw new LatheError('too-large', `The file has ${declaredBytes} bytes; the limit is ${limitBytes}`, [
      { path: 'file', message: `at most ${limitBytes} bytes` },
    ]);
  }
  const left = limits.storedBytes - (await usage.storedBytes(tenantId));
  if (left <= 0 || (declaredBytes !== null && declaredBytes > left)) {
    throw new LatheError(
      'quota-exceeded',
      `${Math.max(0, left)} of ${limits.storedBytes} bytes of storage are left; delete models, datasets or jobs`,
    );
  }
  return Math.min(limitBytes, left);
}

async function readAll(
  blobs: BlobStore,
  content: Readable,
  limitBytes: number,
): Promise<{ sha256: string; sizeBytes: number }> {
  try {
    return await blobs.put(content, limitBytes);
  } catch (error) {
    if (error instanceof LatheError || !content.errored) throw error;
    throw new LatheError(
      'invalid-request',
      `The upload was interrupted: ${content.errored.message}`,
      [{ path: 'file', message: 'incomplete; send it again' }],
      { cause: error },
    );
  }
}
