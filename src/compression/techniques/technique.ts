/**
 * What a compression technique is: a spec (parameters, needs, source) that the API can read, and the engine's `check`
 * and `apply`.
 */
import type { Static, TSchema } from 'typebox';
import type { ErrorDetail } from '../../errors.ts';
import type { Loader, Training, Transform } from '../../contracts/job-request.ts';
import type { DatasetDescription } from '../../contracts/dataset.ts';
import type { ModelDescription } from '../../contracts/model.ts';
import type { Sensitivity } from '../../contracts/report.ts';
import type { Dataset } from '../data/dataset.ts';
import type { KeptIndices } from '../graph/channels/remove.ts';
import type { Model } from '../graph/types.ts';

/** What a step needs of data, given its parameters. `inputs`: samples without labels are enough. */
export type DataNeed = 'none' | 'optional' | 'inputs' | 'labels';

/** What a job brings along, as far as a technique's defaults depend on it. */
export interface Available {
  readonly trainable: boolean;
  readonly data: 'none' | 'inputs' | 'labels';
}

/** Readable without loading the engine: `spec.ts` of each technique imports nothing but typebox and this type. */
export interface TechniqueSpec<P extends TSchema = TSchema> {
  readonly name: string;
  readonly version: number;
  readonly summary: string;
  /** TypeBox object, `technique` excluded; every field has a default and a description. */
  readonly parameters: P;
  readonly paper?: string;
  /** Parameters with which the technique changes nothing (contract test). */
  readonly neutral: Record<string, unknown>;
  /** The model comes out as it went in, whatever the parameters: the step is about what it records. */
  readonly isReadOnly?: true;
  needs(parameters: Static<P>): { data: DataNeed; trainable: boolean };
  /**
   * Whether the technique leaves clustered weights in their codebooks. Absent: it works on the weights, and is given
   * them as floats.
   */
  keepsCodebooks?(parameters: Static<P>): boolean;
  /** Defaults that depend on what there is to work with; they come before the schema's own. */
  defaults?(given: Readonly<Record<string, unknown>>, available: Available): Record<string, unknown>;
  /** Contradictions that the schema cannot say ("one of sparsity, threshold, pattern"); paths relative to the step. */
  contradictions?(parameters: Static<P>): ErrorDetail[];
}

/** The model as it goes from step to step. */
export interface ModelState {
  readonly model: Model;
  /** Initializers whose zeros later steps must keep (set by pruning); the mask is where the tensor is not zero. */
  readonly frozenZeros: ReadonlySet<string>;
  /** Of initializers that lost channels, the indices of the uploaded model's that are left, by axis. */
  readonly kept: ReadonlyMap<string, KeptIndices>;
  /** Initializers that the next export codes in a special way; empty for most. */
  readonly quantized: boolean;
}

export interface StepProgress {
  /** 0..1 within the step. */
  readonly progress: number;
  /** Counts from 1. */
  readonly epoch?: number;
  /** The metrics are those of the whole epoch, with validation. */
  readonly endOfEpoch?: boolean;
  readonly metrics?: Readonly<Record<string, number>>;
}

/** What a step has found out, for the report: beside the measures that every step gets. */
export interface StepEvidence {
  readonly sensitivity?: Sensitivity;
}

/** Where a step keeps what it needs to go on after a kill. Bytes are the technique's own; `save` is atomic. */
export interface CheckpointStore {
  save(bytes: Uint8Array): Promise<void>;
  load(): Promise<Uint8Array | null>;
}

export interface StepContext {
  readonly seed: number;
  readonly dataset: Dataset | null;
  readonly transform: Transform;
  readonly training: Training;
  /** How many workers prepare batches. */
  readonly loader: Loader;
  /** The model as it was uploaded. */
  readonly original: Model;
  /** Another uploaded model (distillation's teacher). */
  loadModel(id: string): Promise<Model>;
  readonly checkpoints: CheckpointStore;
  readonly signal: AbortSignal;
  report(progress: StepProgress): void;
  /** Puts evidence into the report; what is recorded later under the same name replaces it. */
  record(evidence: StepEvidence): void;
  warn(code: string, message: string): void;
}

export interface CheckContext {
  readonly model: ModelDescription;
  readonly dataset: DatasetDescription | null;
}

export interface Technique<P extends TSchema = TSchema> {
  readonly spec: TechniqueSpec<P>;
  apply(state: ModelState, parameters: Static<P>, context: StepContext): Promise<ModelState>;
}
