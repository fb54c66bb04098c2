/**
 * A training step that runs many times. On TensorFlow it is recorded while it runs eagerly, and once two runs recorded
 * the same program it is compiled to one TensorFlow function, which runs instead: 1.3 to 3 times as fast, with the same
 * numbers (docs/decisions/compiled-step.md). Other engines run it eagerly each time.
 */
import { engine } from './engine.ts';
import { compileProgram } from './compiled/compiled-function.ts';
import type { CompiledFunction } from './compiled/compiled-function.ts';
import { difference } from './compiled/program.ts';
import type { Program } from './compiled/program.ts';
import { isRecording } from './compiled/recorder.ts';
import { runAndRecord } from './compiled/run-and-record.ts';
import { tf } from './tf.ts';
import type { TfTensor, TfVariable } from './tf.ts';

export { isRecording };

export interface CompiledStepOptions {
  /**
   * Example inputs: everything that changes from step to step (batch, learning rate, seed). Their number is fixed,
   * their shapes may vary.
   */
  readonly inputs: readonly TfTensor[];
  /** The variables that the step reads or assigns; it finds all others itself. */
  readonly variables: readonly TfVariable[];
  /** Computes with its inputs, variables and constants; assigns variables; returns its results. */
  readonly step: (inputs: TfTensor[]) => TfTensor[];
  /**
   * How often an earlier process ran the step with inputs of these shapes. Those runs are repeated without effect, so
   * that the step is compiled at the same run as there: TensorFlow may reorder a compiled step's arithmetic, which
   * shows in the last bit. Default: none.
   */
  readonly earlierRuns?: (inputs: readonly TfTensor[]) => number;
  /** Does these repeated runs: a step that exchanges tensors with other processes must not do so in them. */
  readonly repeat?: (runs: () => void) => void;
}

export interface CompiledStep {
  /**
   * One step; the caller disposes the results. Variables assigned by the step hold their new values afterwards.
   * @throws Error what `step` throws; where the number of inputs is not that of the example; after `dispose`
   */
  run(inputs: readonly TfTensor[]): TfTensor[];
  /** How many input shapes run compiled, and why others do not. */
  status(): CompiledStepStatus;
  dispose(): void;
}

export interface CompiledStepStatus {
  readonly compiled: number;
  readonly eager: readonly { readonly shapes: string; readonly reason: string }[];
}

/** What is known of one combination of input shapes. */
type Entry =
  | { readonly state: 'recorded'; readonly program: Program; readonly attempts: number; readonly reason: string }
  | { readonly state: 'compiled'; readonly function: CompiledFunction }
  | { readonly state: 'eager'; readonly reason: string };

/** Each holds memory in TensorFlow; further shapes run eagerly. */
const MAX_COMPILED_SHAPES = 8;
/** The first run may differ from the second: optimizers make their state in it. */
const MAX_RECORDINGS = 4;

export function compileStep(spec: CompiledStepOptions): CompiledStep {
  const entries = new Map<string, Entry>();
  let disposed = false;

  function run(inputs: readonly TfTensor[]): TfTensor[] {
    if (disposed) throw new Error('The compiled step was disposed');
    if (inputs.length !== spec.inputs.length)
      throw new Error(`The step takes ${spec.inputs.length} inputs; ${inputs.length} were given`);
    if (!engine().native || isRecording()) return runEagerly(inputs);
    const shapes = inputs.map(({ dtype, shape }) => `${dtype}[${shape.join(',')}]`).join(' ');
    if (!entries.has(shapes) && entries.size < MAX_COMPILED_SHAPES)
      warmUp(shapes, inputs, spec.earlierRuns?.(inputs) ?? 0);
    const entry = entries.get(shapes);
    if (entry?.state === 'compiled') return entry.function.run(inputs);
    if (entry?.state === 'eager' || (!entry && entries.size >= MAX_COMPILED_SHAPES)) return runEagerly(inputs);
    return recorded(shapes, inputs);
  }

  function recorded(shapes: string, inputs: readonly TfTensor[]): TfTensor[] {
    const { results, program, variables, obstacle } = runAndRecord(spec.step, inputs, spec.variables);
    entries.set(
      shapes,
      obstacle
        ? { state: 'eager', reason: obstacle }
        : next(entries.get(shapes), program, (stable) => compileProgram(stable, inputs, variables, results)),
    );
    return results;
  }

  /** Recorded runs whose results and updates do not count. */
  function warmUp(shapes: string, inputs: readonly TfTensor[], earlierRuns: number): void {
    if (earlierRuns === 0) return;
    const held = spec.variables.map((variable) => variable.clone());
    const repeat = spec.repeat ?? ((runs) => runs());
    repeat(() => {
      for (let i = 0; i < Math.min(earlierRuns, MAX_RECORDINGS) && isPending(entries.get(shapes)); i++)
        tf.dispose(recorded(shapes, inputs));
    });
    spec.variables.forEach((variable, i) => variable.assign(held[i]!));
    tf.dispose(held);
  }

  function runEagerly(inputs: readonly TfTensor[]): TfTensor[] {
    return tf.tidy(() => spec.step([...inputs]));
  }

  return {
    run,
    status: () => statusOf(entries),
    dispose: () => {
      disposed = true;
      for (const entry of entries.values()) if (entry.state === 'compiled') entry.function.dispose();
      entries.clear();
    },
  };
}

const isPending = (entry: Entry | undefined): boolean => !entry || entry.state === 'recorded';

/** Two equal programs in a row are compiled; a step that never repeats itself stays eager. */
function next(entry: Entry | undefined, program: Program, compile: (program: Program) => CompiledFunction): Entry {
  if (entry?.state !== 'recorded') return { state: 'recorded', program, attempts: 1, reason: '' };
  const reason = difference(entry.program, program);
  if (reason && entry.attempts + 1 >= MAX_RECORDINGS) return { state: 'eager', reason };
  if (reason) return { state: 'recorded', program, attempts: entry.attempts + 1, reason };
  try {
    return { state: 'compiled', function: compile(program) };
  } catch (error) {
    return { state: 'eager', reason: error instanceof Error ? error.message : String(error) };
  }
}

function statusOf(entries: ReadonlyMap<string, Entry>): CompiledStepStatus {
  const all = [...entries];
  return {
    compiled: all.filter(([, { state }]) => state === 'compiled').length,
    eager: all.flatMap(([shapes, entry]) => (entry.state === 'eager' ? [{ shapes, reason: entry.reason }] : [])),
  };
}
