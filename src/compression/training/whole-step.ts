/** A training step compiled whole: gradients and update in one call. */
import { compileStep, type CompiledStep } from '../tensor/compile.ts';
import type { TfTensor } from '../tensor/tf.ts';
import {
  applyUpdate,
  differentiate,
  earlierRuns,
  packInputs,
  readLosses,
  stepVariables,
  unpackInputs,
  type StepMaker,
} from './step.ts';

export const wholeStep: StepMaker = (parts) => {
  let compiled: CompiledStep | null = null;
  const step = (inputs: TfTensor[]): TfTensor[] => {
    const { batch, seed, scalars } = unpackInputs(parts, inputs);
    const result = differentiate(parts, batch, seed);
    applyUpdate(parts, result.gradients, result.state, scalars);
    return result.losses;
  };
  return {
    run: async (batch, settings) => {
      const inputs = packInputs(parts, batch, settings);
      compiled ??= compileStep({ inputs, variables: stepVariables(parts), step, earlierRuns: earlierRuns(parts) });
      return readLosses(compiled.run(inputs), inputs);
    },
    dispose: () => compiled?.dispose(),
  };
};
