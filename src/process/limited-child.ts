/** One child process with bounds on memory, time and output, an empty environment and its own process group. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { ProcessEntry } from './entry.ts';

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

const STDERR_TAIL_BYTES = 16 * 2 ** 10;
/**
 * Crashes with more than this share of the limit in use count as lack of memory: an allocation that fails deep in V8 is
 * a plain SIGSEGV.
 */
const NEARLY_FULL = 0.7;
const MEMORY_POLL_MS = 50;
/** V8 aborts with SIGABRT or SIGTRAP when its heap or an allocation fails; the kernel's own killer uses SIGKILL. */
const MEMORY_MESSAGES =
  /out of memory|allocation failed|bad_alloc|Cannot allocate memory|Array buffer allocation|could not allocate|Invalid array length|ENOMEM/i;

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
    killGroup(child);
  }, limits.seconds * 1000);
  const dataBytes = watchData(child);
  const output = collect(child.stdio[3] as Readable, limits.maxOutputBytes, () => killGroup(child));
  const stderr = collectTail(child.stderr as Readable);
  const ended = await new Promise<{ code: number | null; signal: string | null; error?: Error }>((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, error }));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  clearTimeout(timer);
  killGroup(child);
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

/** Nothing of the parent's environment but what finds programs and caches: no keys, no database. */
export function childEnvironment(): NodeJS.ProcessEnv {
  const kept = [
    'PATH',
    'HOME',
    'LANG',
    'TZ',
    'TMPDIR',
    'XDG_CACHE_HOME',
    'LD_LIBRARY_PATH',
    'CUDA_VISIBLE_DEVICES',
    'VK_ICD_FILENAMES',
    'LATHE_CACHE',
    'LATHE_ENGINE',
    'LATHE_ENGINE_BUILD',
  ];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

function withMemoryLimit(command: readonly string[], limits: ChildLimits): readonly string[] {
  if (process.platform === 'win32' || !existsSync('/bin/sh')) return command;
  const kilobytes = Math.floor(limits.memoryBytes / 1024);
  const cpuSeconds = Math.ceil(limits.seconds * 8);
  // Core files off; a limit that this system's shell cannot set is left out rather than refusing all uploads.
  const script = `ulimit -c 0 2>/dev/null; ulimit -d ${kilobytes} 2>/dev/null; ulimit -t ${cpuSeconds} 2>/dev/null; exec "$@"`;
  return ['/bin/sh', '-c', script, 'sh', ...command];
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    /* already gone */
  }
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

function collectTail(stream: Readable): () => string {
  let tail = '';
  stream.on('data', (chunk: Buffer) => {
    tail = (tail + chunk.toString('utf8')).slice(-STDERR_TAIL_BYTES);
  });
  return () => tail;
}

/** The largest data segment seen while the child lived. */
function watchData(child: ChildProcess): () => number {
  let largest = 0;
  const timer = setInterval(() => {
    try {
      const kilobytes = /^VmData:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
      largest = Math.max(largest, Number(kilobytes ?? 0) * 1024);
    } catch {
      /* it has ended, or the system has no /proc */
    }
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
  if (MEMORY_MESSAGES.test(stderr) || ended.signal === 'SIGKILL') return { kind: 'out-of-memory' };
  if (ended.signal && ended.nearlyFull) return { kind: 'out-of-memory' };
  if (ended.signal) return { kind: 'crashed', reason: ended.signal };
  return { kind: 'failed', reason: `exit code ${ended.code}: ${stderr.trim().slice(-2000)}` };
}
