import type { Graph } from '../ir/types.ts';
import type { TfTensor } from '../tensor/tf.ts';
import type { Program } from './program.ts';
import type { Slot } from './slot.ts';

/** What the scopes of one run share. */
export interface RunState {
  readonly training: boolean;
  readonly seed: TfTensor;
  /** Draws made so far: the salt of the next one, so that no two draws of a run are alike. */
  draws: number;
  /** Initializers whose running statistics training replaces. */
  readonly state: ReadonlySet<string>;
  readonly stateUpdates: Map<string, TfTensor>;
  /** A watch for one loop of the run, as `RunContext.loopWatch` gives it. */
  loopWatch(): () => void;
  /** The body's program, made when first met. */
  programOf(graph: Graph, outer: Program): Program;
  /** Lasting slots of a program's constants. */
  constantsOf(program: Program): ReadonlyMap<string, Slot>;
}
