/**
 * A lock file whose content names its holder. A killed holder's lock is taken over at once, since the operating system
 * tells that the process is gone. (npm's proper-lockfile tells holders by a file time that they refresh: a killed one
 * blocks for ten seconds, and a machine that slept, or an engine that blocks its event loop, loses a lock it holds.)
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isAlive, startTicks } from './liveness.ts';

export interface LockHolder {
  readonly pid: number;
  /** Tells the holder from a later process with the same id. `null`: the system does not say. */
  readonly startTicks: string | null;
}

export type LockAttempt =
  | { readonly taken: true; release(): void }
  /** `null`: several processes are after a dead holder's lock. */
  | { readonly taken: false; readonly holder: LockHolder | null };

const MAX_TRIES = 4;

/** Takes the lock at `path`, or tells which living process holds it. Does not wait. The folder must exist. */
export function tryLock(path: string): LockAttempt {
  const own = `${path}.${process.pid}`;
  writeFileSync(own, JSON.stringify({ pid: process.pid, startTicks: startTicks(process.pid) } satisfies LockHolder));
  try {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      if (tryLink(own, path)) return { taken: true, release: () => release(path) };
      const holder = readHolder(path);
      if (holder && isHeld(holder)) return { taken: false, holder };
      removeStale(path, holder);
    }
  } finally {
    rmSync(own, { force: true });
  }
  return { taken: false, holder: readHolder(path) };
}

function release(path: string): void {
  if (readHolder(path)?.pid === process.pid) rmSync(path, { force: true });
}

/** A hard link appears whole, content included, or not at all. */
function tryLink(own: string, path: string): boolean {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Of several that see the same dead holder one wins the rename. What it then has in hand may be the lock of another
 * that was faster: that is put back.
 */
function removeStale(path: string, dead: LockHolder | null): void {
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    return; // another was faster
  }
  const found = readHolder(aside);
  if (found && (found.pid !== dead?.pid || found.startTicks !== dead.startTicks)) tryLink(aside, path);
  rmSync(aside, { force: true });
}

function readHolder(path: string): LockHolder | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as LockHolder;
  } catch {
    return null;
  }
}

function isHeld({ pid, startTicks: since }: LockHolder): boolean {
  return isAlive(pid) && (since === null || startTicks(pid) === since);
}
