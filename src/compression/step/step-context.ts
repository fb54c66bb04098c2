/** What the recipe gives to a step, and what the step reports. */
import type { Loader, Training, Transform } from '../../contracts/job-request.ts';
import type { LoaderReport, ParallelFigures, Sensitivity } from '../../contracts/report.ts';
import type { AsyncPlace } from '../collective/async-place.ts';
import type { Replica } from '../collective/replica.ts';
import type { Dataset } from '../data/dataset.ts';
import type { Model } from '../ir/types.ts';
import type { CheckpointStore } from './checkpoint-store.ts';

export interface StepProgress {
  /** 0..1 within the step. */
  readonly progress: number;
  /** Counts from 1. */
  readonly epoch?: number;
  /** The metrics are those of the whole epoch, with validation. */
  readonly endOfEpoch?: boolean;
  readonly metrics?: Readonly<Record<string, number>>;
}

/** A step's findings for the report, beside the measures that every step gets. */
export interface StepEvidence {
  readonly sensitivity?: Sensitivity;
  readonly parallel?: ParallelFigures;
  readonly loader?: LoaderReport;
}

export interface StepContext {
  readonly seed: number;
  readonly dataset: Dataset | null;
  readonly transform: Transform;
  readonly training: Training;
  /** How batches are prepared, and how training samples are changed at random. */
  readonly loader: Loader;
  /** The model as it was uploaded. */
  readonly original: Model;
  /** Another uploaded model (distillation's teacher). */
  loadModel(id: string): Promise<Model>;
  readonly checkpoints: CheckpointStore;
  /** This process's place among those that apply the same step together; absent: it is alone. */
  readonly replica?: Replica;
  /** Its place in an asynchronous training; absent: there is none. */
  readonly asynchronous?: AsyncPlace;
  readonly signal: AbortSignal;
  report(progress: StepProgress): void;
  /** Puts evidence into the report; a later record under the same name replaces it. */
  record(evidence: StepEvidence): void;
  warn(code: string, message: string): void;
}
