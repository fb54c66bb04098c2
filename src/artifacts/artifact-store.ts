import type { BlobStore } from '../jobs/ports/blobs.ts';

export interface StoredBlob {
  readonly sha256: string;
  readonly modifiedAt: Date;
}

/** Permanent storage of blobs: a disk of this machine, or a bucket. */
export interface ArtifactStore extends BlobStore {
  /** All blobs, in no order. */
  list(): AsyncIterable<StoredBlob>;
  /** Whether blobs can be written now. */
  check(): Promise<void>;
  close(): Promise<void>;
}
