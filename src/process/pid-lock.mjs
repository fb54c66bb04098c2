/**
 * A lock file whose content names its holder. A killed holder's lock is taken over at once, since the operating system
 * tells that the process is gone. (npm's proper-lockfile tells holders by a file time that they refresh: a killed one
 * blocks for ten seconds, and a machine that slept, or an engine that blocks its event loop, loses a lock it holds.)
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isAlive, startTicks } from './process-state.mjs';

/**
 * @typedef {object} LockHolder
 * @property {number} pid
 * @property {string | null} startTicks tells the holder from a later process with the same id; `null`: the system does
 * not say
 */

/**
 * `holder`: `null` where several processes are after a dead holder's lock.
 * @typedef {{ taken: true, release: () => void } | { taken: false, holder: LockHolder | null }} LockAttempt
 */

const MAX_TRIES = 4;

/**
 * Takes the lock at `path`, or tells which living process holds it. Does not wait. The folder must exist.
 * @param {string} path
 * @returns {LockAttempt}
 */
export function tryLock(path) {
  const own = `${path}.${process.pid}`;
  writeFileSync(own, JSON.stringify({ pid: process.pid, startTicks: startTicks(process.pid) }));
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

/** @param {string} path */
function release(path) {
  if (readHolder(path)?.pid === process.pid) rmSync(path, { force: true });
}

/**
 * A hard link appears whole, content included, or not at all.
 * @param {string} own
 * @param {string} path
 */
function tryLink(own, path) {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Of several that see the same dead holder one wins the rename. What it then has in hand may be the lock of another
 * that was faster: that is put back.
 * @param {string} path
 * @param {LockHolder | null} dead
 */
function removeStale(path, dead) {
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

/**
 * Earlier releases, which build engines into the same cache, wrote the process id alone.
 * @param {string} path
 * @returns {LockHolder | null}
 */
function readHolder(path) {
  try {
    const content = JSON.parse(readFileSync(path, 'utf8'));
    return typeof content === 'number' ? { pid: content, startTicks: null } : content;
  } catch {
    return null;
  }
}

/** @param {LockHolder} holder */
function isHeld({ pid, startTicks: since }) {
  return isAlive(pid) && (since === null || startTicks(pid) === since);
}
