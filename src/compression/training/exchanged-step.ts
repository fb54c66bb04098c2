/** A training step split at the gradients, so that several replicas can average them in between. */
import { compileStep, type CompiledStep } from '../tensor/compile.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';
import {
  applyUpdate,
  differentiate,
  earlierRuns,
  packInputs,
  readLosses,
  stepVariables,
  unpackInputs,
  type StepMaker,
  type TrainingStepParts,
  type TrainingStep,
} from './step.ts';
import { trainedParameters } from './term.ts';
import { elementAt } from '../ir/element-at.ts';

/** Averages gradients, weighted by samples, over all replicas of the model. Takes ownership of its arguments. */
export interface GradientExchange {
  average(tensors: TfTensor[], samples: number): Promise<TfTensor[]>;
}

/** The step of one replica among those that `exchange` joins. */
export function exchangedStep(exchange: GradientExchange): StepMaker {
  return (parts) => splitStep(parts, exchange);
}

function splitStep(parts: TrainingStepParts, exchange: GradientExchange): TrainingStep {
  const { network, terms } = parts;
  const scalarCount = parts.optimizer.scalars(0, 0).length;
  let gradientStep: CompiledStep | null = null;
  let updateStep: CompiledStep | null = null;
  const gradients = (inputs: TfTensor[]): TfTensor[] => {
    const { batch, seed } = unpackInputs(parts, inputs);
    const { losses, gradients, state } = differentiate(parts, batch, seed);
    return [...losses, ...gradients, ...network.state.map(({ name, variable }) => state.get(name) ?? variable.clone())];
  };
  const apply = (inputs: TfTensor[]): TfTensor[] => {
    const count = trainedParameters(network, terms).length;
    const state = new Map(network.state.map(({ name }, i) => [name, elementAt(inputs, count + i, 'state')]));
    applyUpdate(parts, inputs.slice(0, count), state, inputs.slice(inputs.length - scalarCount));
    return [];
  };
  return {
    run: async (batch, settings) => {
      const inputs = packInputs(parts, batch, settings);
      gradientStep ??= compileStep({
        inputs,
        variables: stepVariables(parts),
        step: gradients,
        earlierRuns: earlierRuns(parts),
      });
      const results = gradientStep.run(inputs);
      const averaged = await exchange.average(results.slice(terms.length + 1), batch.size);
      const updateInputs = [...averaged, ...inputs.slice(inputs.length - scalarCount).map((scalar) => scalar.clone())];
      updateStep ??= compileStep({ inputs: updateInputs, variables: stepVariables(parts), step: apply });
      tf.dispose(updateStep.run(updateInputs));
      tf.dispose(updateInputs);
      return readLosses(results.slice(0, terms.length + 1), inputs);
    },
    dispose: () => {
      gradientStep?.dispose();
      updateStep?.dispose();
    },
  };
}
