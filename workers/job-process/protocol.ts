/** Messages between a supervisor and its job process over Node's IPC channel. */
import type { JobRequest } from '../../src/contracts/job-request.ts';
import type { ModelDescription } from '../../src/contracts/model.ts';
import type { Report } from '../../src/contracts/report.ts';
import type { ErrorDetail, ErrorCode } from '../../src/errors.ts';
import type { JobEvent } from '../../src/jobs/ports/events.ts';

export interface ModelFile {
  readonly id: string;
  readonly sha256: string;
  readonly description: ModelDescription;
  readonly path: string;
}

/** Supervisor to job process, once, as its first message. Paths are on this machine. */
export interface JobTask {
  readonly jobId: string;
  readonly request: JobRequest;
  readonly model: ModelFile & { readonly name: string };
  readonly dataset: {
    readonly id: string;
    readonly sha256: string;
    readonly path: string;
    readonly options: Record<string, string>;
  } | null;
  readonly otherModels: readonly ModelFile[];
  /** Kept between attempts: a killed job continues from here. */
  readonly checkpointFolder: string;
  /** Used by this attempt only. */
  readonly outputFolder: string;
  readonly engine: 'auto' | 'tensorflow' | 'wasm';
  readonly threads: number;
  /** Longest time for measuring the latency of one file. */
  readonly latencyMs: number;
}

export interface ResultFile {
  readonly name: string;
  readonly format: string;
  readonly path: string;
  readonly step: number | null;
}

export interface TaskFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly errors: readonly ErrorDetail[];
}

/** Job process to supervisor. After `result` or `failed` it exits by itself. */
export type JobProcessMessage =
  | { readonly type: 'event'; readonly event: JobEvent }
  /** The processes that train with it now. */
  | { readonly type: 'replicas'; readonly pids: readonly number[] }
  | {
      readonly type: 'result';
      readonly report: Report;
      readonly files: readonly ResultFile[];
      readonly recommended: number;
    }
  | { readonly type: 'failed'; readonly failure: TaskFailure };
