/** One child process with bounds on memory, time and output, an empty environment and its own process group. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { ProcessEntry } from './entry.ts';
import { childEnvironment } from './environment.ts';
import { signalGroup } from './group.ts';
import { isExpansionFailure } from './memory-failure.ts';
import { memoryBytes } from './memory.ts';
import { tailOf } from './output-tail.ts';

export interface ChildLimits {
  /** Bound on the data segment (RLIMIT_DATA): it covers ArrayBuffers and WASM, which V8's own heap limit does not. */
  readonly memoryBytes: number;
  /** Wall clock. */
  readonly seconds: number;
  readonly maxOutputBytes: number;
}

export type ChildOutcome =
  | { readonly kind: 'answer'; readonly value: unknown }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'out-of-memory' }
  /** By a signal: native code tripped over the file. */
  | { readonly kind: 'crashed'; readonly reason: string }
  /** Without an answer, but in order: a fault of ours. */
  | { readonly kind: 'failed'; readonly reason: string };

const STDERR_TAIL_CHARACTERS = 16 * 2 ** 10;
/**
 * Crashes with more than this share of the limit in use count as lack of memory: an allocation that fails deep in V8 is
 * a plain SIGSEGV.
 */
const NEARLY_FULL = 0.7;
const MEMORY_POLL_MS = 50;
/**
 * Runs `entry` with `args` and resolves with the JSON it writes on file descriptor 3. Never rejects for what the child
 * does.
 */
export async function runLimited(
  entry: ProcessEntry,
  args: readonly string[],
  limits: ChildLimits,
): Promise<ChildOutcome> {
  const child = spawnLimited(entry, args, limits);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    signalGroup(child.pid, 'SIGKILL');
  }, limits.seconds * 1000);
  const dataBytes = watchData(child);
  const output = collect(child.stdio[3] as Readable, limits.maxOutputBytes, () => signalGroup(child.pid, 'SIGKILL'));
  const stderr = tailOf(child.stderr as Readable, STDERR_TAIL_CHARACTERS);
  const ended = await new Promise<{ code: number | null; signal: string | null; error?: Error }>((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, error }));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  clearTimeout(timer);
  signalGroup(child.pid, 'SIGKILL');
  const nearlyFull = dataBytes() > NEARLY_FULL * limits.memoryBytes;
  // A full heap also shows as garbage collection without end.
  if (timedOut) return { kind: nearlyFull ? 'out-of-memory' : 'timeout' };
  return outcomeOf({ ...ended, nearlyFull }, output(), stderr());
}

function spawnLimited(entry: ProcessEntry, args: readonly string[], limits: ChildLimits): ChildProcess {
  const heapMiB = Math.max(64, Math.floor((limits.memoryBytes / 2 ** 20) * 0.75));
  const node = [process.execPath, ...entry.flags, `--max-old-space-size=${heapMiB}`, entry.path, ...args];
  const [command, ...rest] = withMemoryLimit(node, limits);
  return spawn(command as string, rest, {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    cwd: '/',
    env: { ...childEnvironment(), ...ALLOCATOR },
  });
}

/**
 * glibc raises the size from which memory comes from the system, and goes back to it, with every large block freed:
 * weights of megabytes then stay with the process. A size that is stated does not move. One arena, for most of the
 * memory is taken by one thread at a time. (mallopt(3); other C libraries ignore both.)
 */
const ALLOCATOR = { MALLOC_MMAP_THRESHOLD_: String(256 * 2 ** 10), MALLOC_ARENA_MAX: '1' };

function withMemoryLimit(command: readonly string[], limits: ChildLimits): readonly string[] {
  if (process.platform === 'win32' || !existsSync('/bin/sh')) return command;
  const kilobytes = Math.floor(limits.memoryBytes / 1024);
  const cpuSeconds = Math.ceil(limits.seconds * 8);
  // Core files off; a limit that this system's shell cannot set is left out rather than refusing all uploads.
  const ulimits = ['-c 0', `-d ${kilobytes}`, `-t ${cpuSeconds}`].map((limit) => `ulimit ${limit} 2>/dev/null; `);
  const script = `${ulimits.join('')}exec "$@"`;
  return ['/bin/sh', '-c', script, 'sh', ...command];
}

function collect(stream: Readable, maxBytes: number, onOverflow: () => void): () => string | null {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > maxBytes) onOverflow();
    else chunks.push(chunk);
  });
  return () => (size > maxBytes ? null : Buffer.concat(chunks).toString('utf8'));
}

/** The largest data segment seen while the child lived. */
function watchData(child: ChildProcess): () => number {
  let largest = 0;
  const timer = setInterval(() => {
    if (child.pid !== undefined) largest = Math.max(largest, memoryBytes(child.pid, 'VmData'));
  }, MEMORY_POLL_MS);
  child.once('close', () => clearInterval(timer));
  child.once('error', () => clearInterval(timer));
  return () => largest;
}

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly error?: Error;
  readonly nearlyFull: boolean;
}

function outcomeOf(ended: Ended, output: string | null, stderr: string): ChildOutcome {
  if (ended.error) return { kind: 'failed', reason: ended.error.message };
  if (output === null) return { kind: 'crashed', reason: 'its answer was too long' };
  if (output !== '') {
    try {
      return { kind: 'answer', value: JSON.parse(output) };
    } catch {
      /* died while writing: told below */
    }
  }
  // V8 aborts with SIGABRT or SIGTRAP where an allocation fails; the kernel's own killer uses SIGKILL.
  if (isExpansionFailure(stderr) || ended.signal === 'SIGKILL') return { kind: 'out-of-memory' };
  if (ended.signal && ended.nearlyFull) return { kind: 'out-of-memory' };
  if (ended.signal) return { kind: 'crashed', reason: ended.signal };
  return { kind: 'failed', reason: `exit code ${ended.code}: ${stderr.trim().slice(-2000)}` };
}
