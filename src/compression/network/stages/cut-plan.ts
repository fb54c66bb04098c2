/** Where a program is cut into stages, and what crosses the cuts. */
import type { NetworkParts } from '../network-parts.ts';

export interface CutPlan {
  /**
   * The stage of each instruction of the program, in the program's order. Stages count from 0; values flow from a stage
   * to later ones only. The last stage ends with the outputs.
   */
  readonly stageOf: readonly number[];
  /** Values that the last stage returns beside the outputs. */
  readonly fetch: readonly string[];
}

/** A value that one stage computes and a later one, not always the next, reads. */
export interface Crossing {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** A gradient comes back: the value is float and depends on a parameter. */
  readonly learns: boolean;
}

/** A stage before its weights are on the device. */
export interface StageParts {
  readonly index: number;
  /** Its own instructions, parameters and running statistics; its inputs are `inputs` and what it receives. */
  readonly parts: NetworkParts;
  /** Inputs of the model that it reads. */
  readonly inputs: readonly string[];
  readonly receives: readonly Crossing[];
  readonly sends: readonly Crossing[];
}
