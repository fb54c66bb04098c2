/** Secrets in the home folder: made once, readable by the service's user alone. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, linkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The text of a file; where there is none, `make`'s result is stored and returned. Of several that make one at once all
 * get the same.
 */
export function loadOrCreateSecret(home: string, name: string, make: () => string): string {
  const path = join(home, name);
  const kept = readText(path);
  if (kept !== null) return kept;
  mkdirSync(home, { recursive: true });
  const own = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(own, `${make()}\n`, { mode: 0o600, flag: 'wx' });
  try {
    linkSync(own, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(own, { force: true });
  }
  return readText(path) as string;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
