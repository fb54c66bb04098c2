/** One service per LATHE_HOME: a lock file names the process that runs there. */
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, startTicks } from '../../src/process/liveness.ts';

interface Holder {
  readonly pid: number;
  /** Tells the holder from a later process with the same id. */
  readonly startTicks: string | null;
}

/** @returns releases the lock @throws Error where another living process holds it */
export function lockHome(home: string): () => void {
  const path = join(home, 'launcher.pid');
  const own = `${path}.${process.pid}`;
  const me: Holder = { pid: process.pid, startTicks: startTicks(process.pid) };
  writeFileSync(own, JSON.stringify(me));
  try {
    for (let tries = 0; !tryLink(own, path); tries++) {
      const holder = readHolder(path);
      if (tries >= 3 || (holder && isHeld(holder))) {
        throw new Error(
          `Lathe already runs in ${home} (process ${holder?.pid ?? 'unknown'}); stop it, or choose another folder with LATHE_HOME`,
        );
      }
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(own, { force: true });
  }
  return () => {
    if (readHolder(path)?.pid === process.pid) rmSync(path, { force: true });
  };
}

function tryLink(own: string, path: string): boolean {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readHolder(path: string): Holder | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch {
    return null;
  }
}

function isHeld({ pid, startTicks: since }: Holder): boolean {
  return isAlive(pid) && (since === null || startTicks(pid) === since);
}
