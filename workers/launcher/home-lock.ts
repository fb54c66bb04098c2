/** One service per LATHE_HOME: a lock file names the process that runs there. */
import { join } from 'node:path';
import { tryLock } from '../../src/process/pid-lock.mjs';

/** @returns releases the lock @throws Error where another living process holds it */
export function lockHome(home: string): () => void {
  const lock = tryLock(join(home, 'launcher.pid'));
  if (lock.taken) return () => lock.release();
  throw new Error(
    `Lathe already runs in ${home} (process ${lock.holder?.pid ?? 'unknown'}); ` +
      'stop it, or choose another folder with LATHE_HOME',
  );
}
