/**
 * A server's weights as the variables of the network that it trains: updates go through the training's own optimizer,
 * gradient clipping, observers and constraints, so that masks and scores are in one place.
 */
import { entryOf } from '../../ir/checked-access.ts';
import type { ParameterStore } from '../../parallel/async/parameter-store.ts';
import type { UpdateSettings } from '../../parallel/async/update-rule.ts';
import { compileStep, type CompiledStep } from '../../tensor/compile.ts';
import { tf, type TfTensor } from '../../tensor/tf.ts';
import { applyUpdate, stepVariables, type TrainingStepParts } from '../step.ts';
import { trainedParameters } from '../term.ts';
import { assignValues, readValues } from './engine-gradients.ts';

export interface EngineStore extends ParameterStore {
  dispose(): void;
}

/** @param scalars of the optimizer, for one update */
export function engineStore(
  parts: TrainingStepParts,
  scalars: (settings: UpdateSettings) => number[] = ({ step, learningRate }) =>
    parts.optimizer.scalars(step, learningRate),
): EngineStore {
  const trained = trainedParameters(parts.network, parts.terms);
  let compiled: CompiledStep | null = null;
  const update = (inputs: TfTensor[]): TfTensor[] => {
    applyUpdate(parts, inputs.slice(0, trained.length), new Map(), inputs.slice(trained.length));
    return [];
  };
  return {
    values: () => readValues(trained),
    update: (gradient, settings) => {
      const gradients = trained.map(({ name, variable }) =>
        tf.tensor(entryOf(gradient, name, 'gradient of'), variable.shape, 'float32'),
      );
      const inputs = [...gradients, ...scalars(settings).map((value) => tf.scalar(value))];
      compiled ??= compileStep({
        inputs,
        variables: stepVariables(parts),
        step: update,
        earlierRuns: () => settings.step,
      });
      tf.dispose([...compiled.run(inputs), ...inputs]);
    },
    statistics: () => readValues(parts.network.state),
    setStatistics: (statistics) => assignValues(parts.network.state, statistics),
    dispose: () => compiled?.dispose(),
  };
}
