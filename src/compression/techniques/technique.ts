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

/** What a job brings along, as far as a technique's defaults depend on it. */
export interface Available {
  readonly trainable: boolean;
  readonly data: 'none' | 'inputs' | 'labels';
}

/** What the seconds of a step follow from, roughly. */
export interface ModelCost {
  /** One sample through the model, forward, on the device that the job asks for. */
  readonly forwardSeconds: number;
  /** Samples of the training split; 0 without data. */
  readonly trainingSamples: number;
  /** Layers that hold kernels. */
  readonly kernelLayers: number;
}

/** A step in front of another one. */
export interface EarlierStep {
  /** In the recipe. */
  readonly index: number;
  readonly technique: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** What its technique's `storage` says; null where it has none. */
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
  /** The model comes out as it went in, whatever the parameters: the step is about what it records. */
  readonly isReadOnly?: true;
  /** A string parameter `teacher` names another model, or "original": validation checks that it fits. */
  needs(parameters: Static<P>): { data: DataNeed; trainable: boolean };
  /** Whether `apply` looks at the model as it was uploaded: its hash is then part of the step's key. Absent: it does. */
  usesOriginal?(parameters: Static<P>): boolean;
  /** Such a step cannot follow one that has made integers of the weights. */
  changesFloatWeights(parameters: Static<P>): boolean;
  /**
   * For techniques that code weights and leave what they stand for: how files of other formats hold them; null: as
   * before the step. Absent: the technique makes another model, which other formats store in floats.
   */
  storage?(parameters: Static<P>): WeightStorage | null;
  /** Seconds of the step beside those that every step takes, good to a factor of a few. Absent: as good as none. */
  cost?(parameters: Static<P>, model: ModelCost): number;
  /** Why the step cannot follow an earlier one, as a sentence; null: it can. */
  contradictsAfter?(parameters: Static<P>, earlier: EarlierStep): string | null;
  /** What to set so that the integer products of its result cannot saturate in 16 bits. */
  readonly saturationRemedy?: string;
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

export interface Technique<P extends TSchema = TSchema> {
  readonly spec: TechniqueSpec<P>;
  apply(state: ModelState, parameters: Static<P>, context: StepContext): Promise<ModelState>;
}
