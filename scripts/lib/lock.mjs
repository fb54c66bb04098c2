/** A lock that is waited for. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { tryLock } from '../../src/process/pid-lock.mjs';

const POLL_INTERVAL_MS = 200;

/**
 * Runs `work` while holding the lock at `path`; waits for a living holder, takes over from a dead one.
 * @template T
 * @param {string} path
 * @param {(pid: number | undefined) => void} onWait called once, where another process holds it
 * @param {() => Promise<T>} work
 */
export async function withLock(path, onWait, work) {
  mkdirSync(dirname(path), { recursive: true });
  const release = await acquire(path, onWait);
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.removeListener('exit', release);
    release();
  }
}

async function acquire(path, onWait) {
  for (let waited = 0; ; waited++) {
    const attempt = tryLock(path);
    if (attempt.taken) return attempt.release;
    if (waited === 0) onWait(attempt.holder?.pid);
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
  }
}
