/** Stored bytes; src/artifacts/ implements this. */
import type { Readable } from 'node:stream';

/** Blobs by content (lower-case hex sha-256). */
export interface BlobStore {
  /**
   * Streams into the store and hashes on the way. Over `limitBytes` it throws `too-large` and leaves nothing behind.
   */
  put(content: Readable, limitBytes: number): Promise<{ sha256: string; sizeBytes: number }>;
  /** A readable stream of the blob or a range of it (inclusive end). */
  read(sha256: string, range?: { start: number; end: number }): Promise<Readable>;
  /** A path of the blob on this machine (downloaded first where the store is remote). */
  localPath(sha256: string): Promise<string>;
  has(sha256: string): Promise<boolean>;
  delete(sha256: string): Promise<void>;
}
