/** The real service for flow tests: what `npm start` runs, on a free port and a temporary LATHE_HOME. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { projectRoot } from '../../src/process/entry.ts';
import { isAlive, waitForExit } from '../../src/process/liveness.ts';
import { freePort } from '../../workers/ports.ts';
import { TestClient } from './client.ts';

export interface RunningService {
  readonly url: string;
  readonly home: string;
  readonly apiKey: string;
  readonly client: TestClient;
  /** Process ids by role; empty where none runs now. */
  processes(role: Role): number[];
  /** SIGTERM to the launcher; resolves with its exit code when it has ended. */
  stop(): Promise<number | null>;
  /** `kill -9` of the launcher and all that it started. */
  kill(): Promise<void>;
  /** The same folder and port again, after `stop` or `kill`. */
  restart(): Promise<void>;
  /** Stops and removes the folder. */
  remove(): Promise<void>;
  logs(): string;
}

export type Role = 'launcher' | 'api' | 'supervisor' | 'engine' | 'replica';

const SCRIPTS: Record<Exclude<Role, 'launcher'>, string> = {
  api: 'dist/bundle/src/api/main.js',
  supervisor: 'dist/bundle/workers/supervisor.js',
  engine: 'dist/bundle/workers/engine.js',
  replica: 'dist/bundle/workers/replicas/replica.js',
};
const READY_MS = 90_000;

/** What `npm start` runs, without npm in front of it. */
const SCRIPT: readonly string[] = [process.execPath, join(projectRoot, 'scripts/start.mjs')];

export async function startService(
  environment: Record<string, string> = {},
  command = SCRIPT,
): Promise<RunningService> {
  const home = mkdtempSync(join(tmpdir(), 'lathe-flow-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const full: NodeJS.ProcessEnv = {
    ...process.env,
    LATHE_HOME: home,
    LATHE_PORT: String(port),
    LATHE_HOST: '127.0.0.1',
    LATHE_LATENCY_SECONDS: '0.1', // flow tests ask for a figure, not for a precise one
    ...environment,
  };
  for (const name of ['DATABASE_URL', 'REDIS_URL', 'LATHE_API_KEY', 'LATHE_S3_URL', 'VITEST', 'NODE_OPTIONS'])
    if (!(name in environment)) full[name] = undefined;
  let launcher = await launch(command, full, home);
  const apiKey = readFileSync(join(home, 'api-key'), 'utf8').trim();
  const stop = async () => {
    if (launcher.exitCode !== null || launcher.signalCode !== null) return launcher.exitCode;
    const ended = new Promise<number | null>((resolve) => launcher.once('exit', (code) => resolve(code)));
    launcher.kill('SIGTERM');
    return ended;
  };
  const processes = (role: Role) =>
    role === 'launcher' ? [launcher.pid as number].filter(isAlive) : findProcesses(home, SCRIPTS[role]);
  return {
    url,
    home,
    apiKey,
    processes,
    stop,
    client: new TestClient({ url, apiKey }),
    async kill() {
      const all = (['launcher', 'api', 'supervisor', 'engine', 'replica'] as const).flatMap(processes);
      for (const pid of all) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
      await Promise.all(all.map((pid) => waitForExit(pid, 10_000)));
    },
    async restart() {
      launcher = await launch(command, full, home);
    },
    async remove() {
      await stop();
      rmSync(home, { recursive: true, force: true });
    },
    logs: () => logsOf(home),
  };
}

function launch(
  [program, ...args]: readonly string[],
  environment: NodeJS.ProcessEnv,
  home: string,
): Promise<ChildProcess> {
  const child = spawn(program!, args, { cwd: projectRoot, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      child.kill('SIGTERM');
      reject(new Error(`The service ${why}:\n${said}\n${logsOf(home)}`));
    };
    const timer = setTimeout(() => fail(`was not ready after ${READY_MS / 1000} s`), READY_MS);
    child.once('exit', (code) => {
      clearTimeout(timer);
      fail(`ended before it was ready (exit code ${code})`);
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (!line.startsWith('Lathe is ready at ')) return;
      clearTimeout(timer);
      child.removeAllListeners('exit');
      resolve(child);
    });
  });
}

/**
 * Living processes of this service that run a script: told by LATHE_HOME in their environment, or (engines, whose
 * environment is bare) by TMPDIR.
 */
function findProcesses(home: string, script: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(script)) return false;
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(home) && isAlive(pid);
      } catch {
        return false;
      }
    });
}

function logsOf(home: string): string {
  return ['api', 'supervisor']
    .map((name) => join(home, 'logs', `${name}.log`))
    .filter(existsSync)
    .map((path) => `--- ${path}\n${readFileSync(path, 'utf8').slice(-6000)}`)
    .join('\n');
}
