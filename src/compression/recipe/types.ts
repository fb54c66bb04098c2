/** A recipe's inputs, events and results. */
import type { JobRequest } from '../../contracts/job-request.ts';
import type { ModelDescription, ModelFormat } from '../../contracts/model.ts';
import type { Report, ReportWarning } from '../../contracts/report.ts';
import type { Dataset } from '../data/dataset.ts';
import type { CheckpointStore } from '../step/checkpoint-store.ts';
import type { WorkerProcesses } from './apply-asynchronously.ts';
import type { ReplicaProcesses } from './apply-together.ts';

export interface DatasetSource {
  /** Of the file as it was uploaded. */
  readonly sha256: string;
  /** That it was opened with. */
  readonly options: Readonly<Record<string, string>>;
}

export interface RecipeInput {
  readonly modelBytes: Uint8Array;
  /** As the job asks; validated here again, defaults filled in. */
  readonly request: JobRequest;
  readonly model: ModelDescription;
  readonly dataset: Dataset | null;
  /** Identifies the dataset in the keys of steps; absent: its description does. */
  readonly datasetSource?: DatasetSource;
  /** Descriptions of the models that steps name. */
  readonly others?: ReadonlyMap<string, ModelDescription>;
  loadModelBytes(id: string): Promise<Uint8Array>;
  /**
   * One store per step, kept between attempts: a finished step is not run again, an unfinished one continues from its
   * last epoch.
   * @param key hash of everything that determines the step's result; recipes that share stores by key share steps
   */
  checkpoints(step: number, key: string): CheckpointStore;
  /** Processes that take part in steps that train; absent: this one trains alone. */
  readonly replicas?: ReplicaProcesses | null;
  /** Processes that compute gradients for this one in steps that train; absent: there are none. */
  readonly workers?: WorkerProcesses | null;
  readonly signal: AbortSignal;
  report(event: RecipeEvent): void;
  /** Threads of onnxruntime while measuring. */
  readonly threads: number;
  /** Longest time for measuring the latency of one file; default 1.5 s. */
  readonly latencyMs?: number;
  /** For the manifest: what the caller knows of versions, devices and input hashes. */
  readonly provenance?: Readonly<Record<string, unknown>>;
}

export type RecipeEvent =
  | {
      readonly type: 'step';
      readonly data: { readonly step: number; readonly technique: string; readonly state: 'running' | 'succeeded' };
    }
  | {
      readonly type: 'progress';
      readonly data: {
        /** 0..1 of the recipe. */ readonly progress: number;
        readonly step: number;
        readonly technique: string;
        readonly stepProgress: number;
      };
    }
  | {
      readonly type: 'metric';
      readonly data: {
        readonly step: number;
        readonly technique: string;
        readonly epoch: number;
        readonly metrics: Readonly<Record<string, number>>;
      };
    }
  | { readonly type: 'warning'; readonly data: ReportWarning };

export interface RecipeFile {
  readonly name: string;
  readonly format: ModelFormat | 'json';
  readonly bytes: Uint8Array;
  /** Index of the step that made it; null: of the whole job. */
  readonly step: number | null;
}

export interface RecipeResult {
  readonly report: Report;
  readonly files: readonly RecipeFile[];
  /** Index into `files`. */
  readonly recommended: number;
}
