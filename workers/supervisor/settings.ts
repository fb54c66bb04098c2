/** The supervisor's part of the environment, parsed once; a value that makes no sense ends the start. */
import { availableParallelism, hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { Pool } from '../../src/jobs/ports.ts';
import { availableMemoryBytes } from '../../src/process/memory.ts';

export interface SupervisorSettings {
  readonly host: string;
  readonly home: string;
  readonly scratchFolder: string;
  readonly engine: 'auto' | 'tensorflow' | 'wasm';
  /** `null`: cpu, and gpu where the engine sees one. */
  readonly pools: readonly Pool[] | null;
  /** Jobs at a time, per pool. */
  readonly slots: number;
  /** Of one job process. */
  readonly threads: number;
  readonly memoryBytes: number;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  readonly stallMs: number;
  readonly graceMs: number;
  readonly maxAttempts: number;
  readonly maxArtifactBytes: number;
}

const ENGINES = ['auto', 'tensorflow', 'wasm'] as const;
const POOLS = ['cpu', 'gpu'] as const;
/** Left to the operating system, the database and the service's own processes. */
const RESERVED_MEMORY_BYTES = 1.5 * 2 ** 30;
const MIN_MEMORY_BYTES = 2 ** 30;

export function supervisorSettings(environment: NodeJS.ProcessEnv): SupervisorSettings {
  const home = resolve(environment.LATHE_HOME ?? '.lathe');
  const slots = positive(environment, 'LATHE_SLOTS', 1);
  const leaseMs = positive(environment, 'LATHE_LEASE_SECONDS', 15) * 1000;
  const memory = Math.max(MIN_MEMORY_BYTES, (availableMemoryBytes() - RESERVED_MEMORY_BYTES) / slots);
  return {
    host: hostname(),
    home,
    scratchFolder: join(home, 'scratch'),
    engine: oneOf(environment, 'LATHE_ENGINE', ENGINES, 'auto'),
    pools: pools(environment),
    slots,
    threads: positive(environment, 'LATHE_THREADS', Math.max(1, Math.floor(availableParallelism() / slots))),
    memoryBytes: positive(environment, 'LATHE_JOB_MEMORY_MB', Math.floor(memory / 2 ** 20)) * 2 ** 20,
    leaseMs,
    // Also how soon a cancellation is noticed; it must leave no living process after 2 s.
    heartbeatMs: Math.min(500, leaseMs / 4),
    stallMs: positive(environment, 'LATHE_STALL_SECONDS', 900) * 1000,
    graceMs: 800,
    maxAttempts: positive(environment, 'LATHE_MAX_ATTEMPTS', 5),
    maxArtifactBytes: 16 * 2 ** 30,
  };
}

function positive(environment: NodeJS.ProcessEnv, name: string, fallback: number): number {
  const text = environment[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`${name} is "${text}"; it must be a number above 0`);
  return value;
}

function oneOf<T extends string>(environment: NodeJS.ProcessEnv, name: string, values: readonly T[], fallback: T): T {
  const text = environment[name] || fallback;
  const value = values.find((candidate) => candidate === text);
  if (!value) throw new Error(`${name} is "${text}"; it can be ${values.join(', ')}`);
  return value;
}

function pools(environment: NodeJS.ProcessEnv): Pool[] | null {
  const text = environment.LATHE_POOLS;
  if (!text) return null;
  return text.split(',').map((name) => oneOf({ LATHE_POOLS: name.trim() }, 'LATHE_POOLS', POOLS, 'cpu'));
}
