/** The supervisor's part of the environment, parsed once. */
import { availableParallelism, hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { readVariables } from '../../src/config/read.ts';
import type { VariableName } from '../../src/config/variables.ts';
import type { EngineChoice } from '../../src/contracts/engine.ts';
import type { Pool } from '../../src/jobs/ports/queue.ts';
import { availableMemoryBytes } from '../../src/process/memory.ts';

export interface SupervisorSettings {
  readonly host: string;
  readonly home: string;
  readonly scratchFolder: string;
  /** `null`: none is written. */
  readonly healthFile: string | null;
  readonly engine: EngineChoice;
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
  /** Longest time for measuring the latency of one file. */
  readonly latencyMs: number;
  readonly graceMs: number;
  readonly maxAttempts: number;
  readonly maxArtifactBytes: number;
}

const NAMES = [
  'LATHE_HOME',
  'LATHE_ENGINE',
  'LATHE_POOLS',
  'LATHE_SLOTS',
  'LATHE_THREADS',
  'LATHE_JOB_MEMORY_MB',
  'LATHE_LEASE_SECONDS',
  'LATHE_STALL_SECONDS',
  'LATHE_LATENCY_SECONDS',
  'LATHE_MAX_ATTEMPTS',
  'LATHE_HEALTH_FILE',
] as const satisfies readonly VariableName[];
/** Left to the operating system, the database and the service's own processes. */
const RESERVED_MEMORY_BYTES = 1.5 * 2 ** 30;
const MIN_MEMORY_BYTES = 2 ** 30;
const MIB = 2 ** 20;

/** @throws ConfigError with all problems */
export function supervisorSettings(environment: NodeJS.ProcessEnv): SupervisorSettings {
  const values = readVariables(environment, NAMES);
  const home = resolve(values.LATHE_HOME);
  const slots = values.LATHE_SLOTS;
  const leaseMs = values.LATHE_LEASE_SECONDS * 1000;
  return {
    host: hostname(),
    home,
    scratchFolder: join(home, 'scratch'),
    healthFile: values.LATHE_HEALTH_FILE ?? null,
    engine: values.LATHE_ENGINE,
    pools: values.LATHE_POOLS ?? null,
    slots,
    threads: values.LATHE_THREADS ?? Math.max(1, Math.floor(availableParallelism() / slots)),
    memoryBytes: (values.LATHE_JOB_MEMORY_MB ?? memoryMib(slots)) * MIB,
    leaseMs,
    // Also bounds how late a cancellation is noticed, after which no process may live for more than 2 s.
    heartbeatMs: Math.min(500, leaseMs / 4),
    stallMs: values.LATHE_STALL_SECONDS * 1000,
    latencyMs: values.LATHE_LATENCY_SECONDS * 1000,
    graceMs: 800,
    maxAttempts: values.LATHE_MAX_ATTEMPTS,
    maxArtifactBytes: 16 * 2 ** 30,
  };
}

/** Of one job process, where `slots` share the machine. */
function memoryMib(slots: number): number {
  const bytes = (availableMemoryBytes() - RESERVED_MEMORY_BYTES) / slots;
  return Math.floor(Math.max(MIN_MEMORY_BYTES, bytes) / MIB);
}
