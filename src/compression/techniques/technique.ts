/**
 * What a compression technique is: a spec (parameters, needs, source) that the API can read, and the engine's `check`
 * and `apply`.
 */
import type { Static, TSchema } from 'typebox';
import type { ErrorDetail } from '../../errors.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext } from '../step/step-context.ts';

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

export interface Technique<P extends TSchema = TSchema> {
  readonly spec: TechniqueSpec<P>;
  apply(state: ModelState, parameters: Static<P>, context: StepContext): Promise<ModelState>;
}
