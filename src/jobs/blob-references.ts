/**
 * Removes blobs that nothing refers to any more. Several rows may share one blob, and an upload's blob exists before
 * its row. Whoever works with a blob holds it; the last holder to release it removes it if no row refers to it.
 */
import type { Usage } from './ports/api-side.ts';
import type { BlobStore } from './ports/blobs.ts';

export interface BlobListing {
  list(): AsyncIterable<{ readonly sha256: string; readonly modifiedAt: Date }>;
}

export class BlobReferences {
  readonly #blobs: BlobStore;
  readonly #usage: Usage;
  readonly #held = new Map<string, number>();

  constructor(blobs: BlobStore, usage: Usage) {
    this.#blobs = blobs;
    this.#usage = usage;
  }

  /** @returns releases the hold; call it once */
  hold(sha256: string): () => Promise<void> {
    this.#held.set(sha256, (this.#held.get(sha256) ?? 0) + 1);
    return async () => {
      const left = (this.#held.get(sha256) ?? 1) - 1;
      if (left > 0) this.#held.set(sha256, left);
      else this.#held.delete(sha256);
      await this.collect(sha256);
    };
  }

  /** @returns whether the blob was removed */
  async collect(sha256: string): Promise<boolean> {
    if (this.#held.has(sha256) || (await this.#usage.isReferenced(sha256)) || this.#held.has(sha256)) return false;
    await this.#blobs.delete(sha256);
    return true;
  }

  /** Removes blobs that a killed process left without a row. A blob younger than `olderThan` may still get its row. */
  async sweep(entries: BlobListing, olderThan: Date): Promise<string[]> {
    const removed: string[] = [];
    for await (const { sha256, modifiedAt } of entries.list()) {
      if (modifiedAt < olderThan && (await this.collect(sha256))) removed.push(sha256);
    }
    return removed;
  }
}
