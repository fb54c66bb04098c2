/**
 * One job process: started in its own process group, watched, ended. It reports over IPC; this module reports how it
 * ended.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Readable } from 'node:stream';
import { processEntry } from '../../src/process/entry.ts';
import { childEnvironment } from '../../src/process/environment.ts';
import { endGroup, signalGroup } from '../../src/process/group.ts';
import { stderrSummary } from '../../src/process/stderr-summary.ts';
import { isMemoryFailure } from '../../src/process/memory-failure.ts';
import { kernelOutOfMemoryKills, memoryBytes } from '../../src/process/memory.ts';
import { tailOf } from '../../src/process/output-tail.ts';
import type { JobProcessMessage, JobTask } from '../job-process/protocol.ts';

export type JobProcessExit =
  | Extract<JobProcessMessage, { type: 'result' | 'failed' }>
  | { readonly type: 'out-of-memory'; readonly detail: string }
  | { readonly type: 'died'; readonly detail: string };

export interface JobProcessOptions {
  readonly task: JobTask;
  readonly memoryBytes: number;
  readonly temporaryFolder: string;
  readonly gpu: boolean;
  onEvent(message: Extract<JobProcessMessage, { type: 'event' }>): void;
}

export interface JobProcess {
  readonly pid: number | undefined;
  readonly ended: Promise<JobProcessExit>;
  /** Time of its last message. */
  lastMessageAt(): number;
  /** SIGTERM, and SIGKILL to the whole group after `graceMs`; resolves when no process of the group lives. */
  end(graceMs: number): Promise<void>;
}

const MEMORY_POLL_MS = 250;
const STDERR_TAIL_CHARACTERS = 8192;
/** Images are decoded on Node's pool of threads, which is the same for all threads of the loader; Node's own size. */
const MIN_POOL_THREADS = 4;

export function startJobProcess(options: JobProcessOptions): JobProcess {
  const { path, flags } = processEntry('engine');
  const heapMiB = Math.max(256, Math.floor(options.memoryBytes / 2 ** 20 / 2));
  const child = spawn(process.execPath, [...flags, `--max-old-space-size=${heapMiB}`, path], {
    detached: true,
    cwd: options.temporaryFolder,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: jobEnvironment(options),
  });
  raiseOomScore(child.pid);
  return watch(child, options);
}

/** Only the pool `gpu` sees the GPU, so that other workers of the machine do not take its memory. */
function jobEnvironment({ temporaryFolder, task, gpu }: JobProcessOptions): NodeJS.ProcessEnv {
  const environment = {
    ...childEnvironment(),
    TMPDIR: temporaryFolder,
    OMP_NUM_THREADS: String(task.threads),
    UV_THREADPOOL_SIZE: String(Math.max(MIN_POOL_THREADS, availableParallelism())),
    TF_CPP_MIN_LOG_LEVEL: '2',
  };
  return gpu ? environment : { ...environment, CUDA_VISIBLE_DEVICES: '' };
}

/** If the machine runs out of memory, the kernel should kill the job process, not the database or the service. */
function raiseOomScore(pid: number | undefined): void {
  try {
    if (pid !== undefined) writeFileSync(`/proc/${pid}/oom_score_adj`, '800');
  } catch {
    /* no such file on this system */
  }
}

function watch(child: ChildProcess, options: JobProcessOptions): JobProcess {
  let lastMessageAt = Date.now();
  let final: JobProcessExit | null = null;
  let replicas: readonly number[] = [];
  const killsBefore = kernelOutOfMemoryKills();
  const stderr = tailOf(child.stderr as Readable, STDERR_TAIL_CHARACTERS);
  child.on('message', (message) => {
    lastMessageAt = Date.now();
    const received = message as JobProcessMessage;
    if (received.type === 'event') options.onEvent(received);
    else if (received.type === 'replicas') replicas = received.pids;
    else final = received;
  });
  const memory = watchMemory(child.pid, options.memoryBytes, () => replicas);
  const ended = new Promise<JobProcessExit>((resolve) => {
    child.once('error', (error) => resolve({ type: 'died', detail: error.message }));
    child.once('close', (code, signal) => {
      memory.stop();
      signalGroup(child.pid, 'SIGKILL');
      const kernelKilled = kernelOutOfMemoryKills() > killsBefore;
      const details = { code, signal, kernelKilled, stderr: stderr(), limit: options.memoryBytes };
      resolve(final ?? classifyExit({ ...details, overLimit: memory.overLimit() }));
    });
  });
  child.send(options.task, () => undefined);
  return {
    pid: child.pid,
    ended,
    lastMessageAt: () => lastMessageAt,
    end: (graceMs) => endGroup(child.pid, ended, graceMs),
  };
}

interface MemoryWatch {
  /** Bytes for which the group was killed; `null`: it stayed within the limit. */
  overLimit(): number | null;
  stop(): void;
}

/** @param replicas process ids of the replicas that run now */
function watchMemory(pid: number | undefined, limitBytes: number, replicas: () => readonly number[]): MemoryWatch {
  let overLimit: number | null = null;
  const poll = setInterval(() => {
    const bytes = pid === undefined ? 0 : usedBytes(pid, replicas());
    if (bytes <= limitBytes) return;
    overLimit = bytes;
    signalGroup(pid, 'SIGKILL');
  }, MEMORY_POLL_MS);
  return { overLimit: () => overLimit, stop: () => clearInterval(poll) };
}

/** Libraries and files that replicas map lie in memory once: only what is their own counts. */
function usedBytes(pid: number, replicas: readonly number[]): number {
  return replicas.reduce((sum, replica) => sum + memoryBytes(replica, 'RssAnon'), memoryBytes(pid, 'VmRSS'));
}

interface ExitDetails {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly overLimit: number | null;
  readonly limit: number;
  readonly stderr: string;
  readonly kernelKilled: boolean;
}

function classifyExit({ code, signal, overLimit, limit, stderr, kernelKilled }: ExitDetails): JobProcessExit {
  const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  if (overLimit !== null)
    return { type: 'out-of-memory', detail: `${mebibytes(overLimit)} in use, ${mebibytes(limit)} allowed` };
  if (kernelKilled && signal === 'SIGKILL') return { type: 'out-of-memory', detail: 'the machine had no memory left' };
  if (isMemoryFailure(stderr)) return { type: 'out-of-memory', detail: stderrSummary(stderr) };
  return {
    type: 'died',
    detail: [signal ? `signal ${signal}` : `exit code ${code}`, stderrSummary(stderr)].filter(Boolean).join(': '),
  };
}
