/** A child process that is restarted when it dies, after a pause that grows with each failure. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, renameSync, statSync } from 'node:fs';
import { processEntry, type ProcessName } from '../../src/process/entry.ts';

export interface RestartingProcessOptions {
  readonly name: Extract<ProcessName, 'api' | 'supervisor'>;
  readonly environment: NodeJS.ProcessEnv;
  readonly logFile: string;
  onExit(description: string, restartMs: number): void;
}

const MIN_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5000;
/** After running this long a process counts as healthy: the next pause is short again. */
const HEALTHY_MS = 10_000;
const MAX_LOG_BYTES = 64 * 2 ** 20;

export class RestartingProcess {
  readonly #options: RestartingProcessOptions;
  #child: ChildProcess | null = null;
  #pauseMs = MIN_PAUSE_MS;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;
  /** Resolves when the process first says over IPC that it is ready. */
  readonly ready: Promise<void>;
  #resolveReady: () => void = () => undefined;

  constructor(options: RestartingProcessOptions) {
    this.#options = options;
    this.ready = new Promise((resolve) => (this.#resolveReady = resolve));
    this.#start();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** SIGTERM, then SIGKILL after `graceMs`; the process is not restarted. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    await ended;
    clearTimeout(timer);
  }

  #start(): void {
    const { name, environment, logFile } = this.#options;
    const { path, flags } = processEntry(name);
    rotate(logFile);
    const log = openSync(logFile, 'a', 0o600);
    const startedAt = Date.now();
    // A process group of its own: Ctrl-C in a terminal reaches the launcher alone, which stops all in order.
    const child = spawn(process.execPath, [...flags, path], {
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
      env: environment,
    });
    closeSync(log);
    this.#child = child;
    child.on('message', (message) => {
      if (message === 'ready') this.#resolveReady();
    });
    child.once('error', (error) => this.#restart(error.message, startedAt));
    child.once('exit', (code, signal) => this.#restart(signal ? `signal ${signal}` : `exit code ${code}`, startedAt));
  }

  #restart(description: string, startedAt: number): void {
    if (this.#stopping) return;
    const pause = Date.now() - startedAt > HEALTHY_MS ? MIN_PAUSE_MS : this.#pauseMs;
    this.#pauseMs = Math.min(pause * 2, MAX_PAUSE_MS);
    this.#options.onExit(`${this.#options.name} ended (${description})`, pause);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#start(), pause);
  }
}

function rotate(path: string): void {
  try {
    if (statSync(path).size > MAX_LOG_BYTES) renameSync(path, `${path}.1`);
  } catch {
    /* no log yet */
  }
}
