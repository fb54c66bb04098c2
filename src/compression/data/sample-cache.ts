/**
 * Decoded samples of one size, kept in a file without a name, so that only the first epoch decodes. The file is read by
 * all threads; the kernel keeps in memory what there is room for.
 */
import { closeSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { openTemporaryFile, readAt, writeAt } from './array-store.ts';
import type { CacheHandle } from './handles.ts';

export interface SampleCache {
  /** Fills `into` with the sample; false where it is not there. */
  get(index: number, into: Uint8Array): boolean;
  put(index: number, sample: Uint8Array): void;
}

const MAX_BYTES = 16 * 2 ** 30;
/** Of the disk's free bytes. */
const MAX_SHARE = 0.25;
/** A temporary folder in memory competes with the training for it. */
const MAX_BYTES_IN_MEMORY = 256 * 2 ** 20;
const TMPFS = 0x01021994;

const PRESENT = 1;

/** For as many of the first samples as the disk has room for; null: for none. */
export function createCache(samples: number, rowBytes: number, budgetBytes = freeBudget()): CacheHandle | null {
  const places = Math.min(samples, Math.floor(budgetBytes / Math.max(1, rowBytes)));
  if (places === 0) return null;
  return { file: openTemporaryFile(), rowBytes, states: new SharedArrayBuffer(places) };
}

export const closeCache = ({ file }: CacheHandle): void => {
  closeSync(file);
};

function freeBudget(): number {
  try {
    const { type, bavail, bsize } = statfsSync(tmpdir());
    return Math.min(type === TMPFS ? MAX_BYTES_IN_MEMORY : MAX_BYTES, bavail * bsize * MAX_SHARE);
  } catch {
    return 0;
  }
}

export function openCache({ file, rowBytes, states: shared }: CacheHandle): SampleCache {
  const states = new Uint8Array(shared);
  let full = false;
  return {
    get(index, into) {
      if (index >= states.length || Atomics.load(states, index) !== PRESENT) return false;
      readAt(file, into, index * rowBytes);
      return true;
    },
    put(index, sample) {
      if (full || index >= states.length) return;
      try {
        writeAt(file, sample, index * rowBytes);
        Atomics.store(states, index, PRESENT);
      } catch {
        full = true; // the disk: samples are decoded again
      }
    },
  };
}
