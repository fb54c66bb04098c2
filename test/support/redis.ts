/** A real Redis for tests: redis-server from PATH, else from the system's package manager where that is allowed. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../workers/ports.ts';

export interface TestRedis {
  readonly url: string;
  /** `kill -9` of the server, and its return on the same port with what it had written. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export const REDIS_MISSING =
  'redis-server is not installed: "apt-get install redis-server" (Debian, Ubuntu), "brew install redis" (macOS)';

/**
 * Path of redis-server; `null` where there is none and none could be installed. Suites that need it are then skipped.
 */
export const redisServer: string | null = findRedis();

function findRedis(): string | null {
  if (which('redis-server')) return 'redis-server';
  if (process.getuid?.() === 0 && which('apt-get') && installWithApt() && which('redis-server')) return 'redis-server';
  console.warn(REDIS_MISSING);
  return null;
}

function which(command: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' }).status === 0;
}

/** One installation at a time over all test files: flock where there is one. */
function installWithApt(): boolean {
  const install =
    'install() { apt-get install -y --no-install-recommends redis-server; }; ' +
    'command -v redis-server || install || { apt-get update && install; }';
  const lock = join(tmpdir(), 'lathe-apt.lock');
  const command = which('flock') ? ['flock', lock, 'sh', '-c', install] : ['sh', '-c', install];
  const { status } = spawnSync(command[0] as string, command.slice(1), {
    stdio: 'ignore',
    timeout: 180_000,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  });
  return status === 0;
}

/** Append-only file on, no eviction: what BullMQ needs of a production Redis. */
export async function startRedis(): Promise<TestRedis> {
  if (!redisServer) throw new Error(REDIS_MISSING);
  const folder = mkdtempSync(join(tmpdir(), 'lathe-test-redis-'));
  const port = await freePort();
  let server = launch(redisServer, folder, port);
  await waitForPort(port);
  const end = (signal: NodeJS.Signals) =>
    new Promise<void>((resolve) => {
      if (server.exitCode !== null || server.signalCode !== null) {
        resolve();
        return;
      }
      server.once('exit', () => resolve());
      server.kill(signal);
    });
  return {
    url: `redis://127.0.0.1:${port}`,
    kill: () => end('SIGKILL'),
    async restart() {
      server = launch(redisServer, folder, port);
      await waitForPort(port);
    },
    async stop() {
      await end('SIGTERM');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function launch(command: string, folder: string, port: number) {
  return spawn(
    command,
    [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      folder,
      '--appendonly',
      'yes',
      '--maxmemory-policy',
      'noeviction',
      '--save',
      '',
    ],
    { stdio: 'ignore' },
  );
}

async function waitForPort(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = createConnection({ port, host: '127.0.0.1' }, () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.unref();
      socket.once('close', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`redis-server does not listen on port ${port}`);
}
