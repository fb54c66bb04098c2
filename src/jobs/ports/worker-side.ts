/** Jobs and workers as the worker side sees them; src/store/ implements this. */
import type { DatasetDescription } from '../../contracts/dataset.ts';
import type { JobRequest } from '../../contracts/job-request.ts';
import type { ModelDescription } from '../../contracts/model.ts';
import type { Report } from '../../contracts/report.ts';
import type { ErrorCode } from '../../errors.ts';
import type { JobEvent } from './events.ts';
import type { Pool } from './queue.ts';

/** A claim on a job: valid while `fence` is the job's current fencing number (each claim raises it by one). */
export interface Claim {
  readonly jobId: string;
  readonly fence: number;
  readonly attempt: number;
  readonly request: JobRequest;
  readonly model: {
    readonly id: string;
    readonly sha256: string;
    readonly name: string;
    readonly description: ModelDescription;
  };
  readonly dataset: {
    readonly id: string;
    readonly sha256: string;
    readonly description: DatasetDescription;
    readonly options: Record<string, string>;
  } | null;
  /** Teachers: other models the steps name, by id. */
  readonly otherModels: ReadonlyMap<string, { readonly sha256: string; readonly description: ModelDescription }>;
  readonly deadline: Date;
}

export interface ProducedArtifact {
  readonly name: string;
  readonly format: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly step: number | null;
}

export interface JobOutcome {
  readonly report: Report;
  readonly artifacts: readonly ProducedArtifact[];
  /** Index into `artifacts`. */
  readonly recommended: number;
}

export interface JobFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
}

/**
 * Jobs as the worker side sees them. Each write names the fence; it answers `false` (and changes nothing) where that is
 * stale.
 */
export interface WorkerJobStore {
  /**
   * Claims a queued job, or one whose worker was lost. `null`: ended, canceled, expired, or claimed by a live worker.
   */
  claim(jobId: string, workerId: string, leaseMs: number): Promise<Claim | null>;
  /** Extends the lease; also tells whether a cancel was asked for. */
  heartbeat(jobId: string, fence: number, leaseMs: number): Promise<'ok' | 'cancel-requested' | 'lost'>;
  /** Appends events and updates progress, step states and metric rows. */
  record(jobId: string, fence: number, events: readonly JobEvent[]): Promise<boolean>;
  succeed(jobId: string, fence: number, outcome: JobOutcome): Promise<boolean>;
  fail(jobId: string, fence: number, failure: JobFailure): Promise<boolean>;
  cancel(jobId: string, fence: number): Promise<boolean>;
  /** Gives the job back to the queue. Does not count as an attempt, unless told so. */
  release(jobId: string, fence: number, reason: string, countsAsAttempt?: boolean): Promise<boolean>;
  /** Those of the jobs that have ended or do not exist: their scratch folders can go. */
  endedOf(jobIds: readonly string[]): Promise<string[]>;
}

export interface WorkerDescription {
  readonly id: string;
  readonly pool: Pool;
  readonly host: string;
  readonly pid: number;
  /** Devices as the engine names them. */
  readonly devices: readonly string[];
  readonly engine: string;
  readonly slots: number;
  readonly jobs: readonly string[];
  readonly startedAt: Date;
  readonly seenAt: Date;
}

export interface WorkerRegistry {
  /** Inserts or refreshes the worker's row. */
  announce(worker: Omit<WorkerDescription, 'seenAt'>): Promise<void>;
  remove(id: string): Promise<void>;
  /** Workers seen within `withinMs`. */
  live(withinMs: number): Promise<WorkerDescription[]>;
}
