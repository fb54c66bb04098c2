import type { Graph } from '../ir/types.ts';
import type { SharedBatch } from '../tensor/nn.ts';
import type { TfTensor } from '../tensor/tf.ts';
import type { Program } from './program.ts';
import type { Slot } from './slot.ts';

/**
 * Salts of a run's draws: no two are alike, and each depends on its instruction alone, so that a part of a program
 * draws what the whole one does. Instruction `i` of `drawing` takes i, i + drawing, i + 2 drawing...
 */
export class DrawSalts {
  private readonly drawing: number;
  private next = 0;

  constructor(drawing: number) {
    this.drawing = drawing;
  }

  /** An instruction of the main program begins; the draws of its bodies count as its own. */
  begin(drawIndex: number | null): void {
    if (drawIndex !== null) this.next = drawIndex;
  }

  take(): number {
    const salt = this.next;
    this.next += Math.max(1, this.drawing);
    return salt;
  }
}

/** What the scopes of one run share. */
export interface RunState {
  readonly training: boolean;
  readonly sharedBatch: SharedBatch | null;
  readonly seed: TfTensor;
  readonly salts: DrawSalts;
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
