/**
 * What a compression technique is: a spec (parameters, needs, source) that the API can read, and the engine's `check`
 * and `apply`.
 */
import type { Static, TSchema } from 'typebox';
import type { ErrorDetail } from '../../errors.ts';
import type { WeightStorage } from '../formats/write-model.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext } from '../step/step-context.ts';

/** What a step needs of data, given its parameters. `inputs`: samples without labels are enough. */
export type DataNeed = 'none' | 'optional' | 'inputs' | 'labels';

/** What a technique's defaults may depend on in a job. */
export interface Available {
  readonly trainable: boolean;
  readonly data: 'none' | 'inputs' | 'labels';
}

/** What determines the seconds of a step, roughly. */
export interface ModelCost {
  /** One sample through the model, forward, on the device that the job asks for. */
  readonly forwardSeconds: number;
  /** Samples of the training split; 0 without data. */
  readonly trainingSamples: number;
  /** Layers that hold kernels. */
  readonly kernelLayers: number;
}

/** An earlier step. */
export interface EarlierStep {
  /** In the recipe. */
  readonly index: number;
  readonly technique: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Its technique's `storage`; null if it has none. */
  readonly storage: WeightStorage | null;
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
  /** The step returns the model unchanged, whatever the parameters: its result is what it records. */
  readonly isReadOnly?: true;
  /** A string parameter `teacher` names another model, or "original": validation checks that it fits. */
  needs(parameters: Static<P>): { data: DataNeed; trainable: boolean };
  /** Whether `apply` reads the uploaded model, whose hash is then part of the step's key. Absent: it does. */
  usesOriginal?(parameters: Static<P>): boolean;
  /** Such a step cannot follow one that quantizes weights to integers. */
  changesFloatWeights(parameters: Static<P>): boolean;
  /**
   * For techniques that only code weights: how files of other formats store them; null: as before the step. Absent: the
   * technique changes the model, and other formats store it in floats.
   */
  storage?(parameters: Static<P>): WeightStorage | null;
  /** Seconds of the step beyond those of every step, accurate to a small factor. Absent: negligible. */
  cost?(parameters: Static<P>, model: ModelCost): number;
  /** Why the step cannot follow an earlier one, as a sentence; null if it can. */
  contradictsAfter?(parameters: Static<P>, earlier: EarlierStep): string | null;
  /**
   * What workers of an asynchronous training cannot do for the step; paths relative to it. Absent: they can do all.
   *
   * @param isLocal they send the change of several training steps of their own, not gradients
   */
  contradictsAsync?(parameters: Static<P>, isLocal: boolean): ErrorDetail[];
  /** The setting with which the integer products of its result cannot saturate in 16 bits. */
  readonly saturationRemedy?: string;
  /**
   * Whether the technique leaves clustered weights in their codebooks. Absent: it works on the weights and gets them as
   * floats.
   */
  keepsCodebooks?(parameters: Static<P>): boolean;
  /** Defaults that depend on the job; they take precedence over the schema's. */
  defaults?(given: Readonly<Record<string, unknown>>, available: Available): Record<string, unknown>;
  /**
   * Contradictions that the schema cannot express ("one of sparsity, threshold, pattern"); paths relative to the step.
   */
  contradictions?(parameters: Static<P>): ErrorDetail[];
}

export interface Technique<P extends TSchema = TSchema> {
  readonly spec: TechniqueSpec<P>;
  apply(state: ModelState, parameters: Static<P>, context: StepContext): Promise<ModelState>;
}
