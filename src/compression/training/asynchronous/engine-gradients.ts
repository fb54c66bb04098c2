/** Gradients of a network on the engine, at weights that a server gave, as values on the host. */
import { elementAt } from '../../ir/checked-access.ts';
import type { Batch } from '../../data/dataset.ts';
import type { Network, Parameter } from '../../network/network.ts';
import { compileStep, type CompiledStep } from '../../tensor/compile.ts';
import { tf, type TfTensor } from '../../tensor/tf.ts';
import { batchTensors } from '../feeds.ts';
import { differentiate, readScalars } from '../step.ts';
import { lossVariables, trainedParameters, type LossTerm } from '../term.ts';
import type { Pulled } from '../../parallel/async/parameter-server.ts';
import { valuesOf, type Tensors } from '../../parallel/async/tensors.ts';
import type { WorkerResult } from '../../parallel/async/worker-result.ts';

export interface GradientEngine {
  run(at: Pick<Pulled, 'values' | 'statistics'>, batch: Batch, random: { seed: number; step: number }): WorkerResult;
  dispose(): void;
}

export function gradientEngine(network: Network, terms: readonly LossTerm[]): GradientEngine {
  const trained = trainedParameters(network, terms);
  let compiled: CompiledStep | null = null;
  const step = (inputs: TfTensor[]): TfTensor[] => {
    const seed = elementAt(inputs, inputs.length - 1, 'seed');
    const { losses, gradients, state } = differentiate({ network, terms }, inputs.slice(0, -1), seed);
    return [...losses, ...gradients, ...network.state.map(({ name, variable }) => state.get(name) ?? variable.clone())];
  };
  return {
    run: ({ values, statistics }, batch, { seed, step: number }) => {
      assignValues(trained, values);
      assignValues(network.state, statistics);
      const inputs = [...batchTensors(network, batch), tf.tensor1d([seed | 0, number], 'int32')];
      compiled ??= compileStep({ inputs, variables: lossVariables(network, terms), step });
      const results = compiled.run(inputs);
      const tensors = results.slice(terms.length + 1);
      const result = {
        contribution: {
          gradient: namedValues(trained, tensors),
          statistics: namedValues(network.state, tensors.slice(trained.length)),
          samples: batch.size,
        },
        losses: readScalars(results.slice(0, terms.length + 1)),
      };
      tf.dispose([...inputs, ...results]);
      return result;
    },
    dispose: () => compiled?.dispose(),
  };
}

/** The parameters' present values. */
export function readValues(parameters: readonly Parameter[]): Tensors {
  return namedValues(
    parameters,
    parameters.map(({ variable }) => variable),
  );
}

/** Sets parameters; those that `values` does not name stay. */
export function assignValues(parameters: readonly Parameter[], values: Tensors): void {
  for (const { name, variable } of parameters) {
    if (!values.has(name)) continue;
    const given = valuesOf(values, name, variable.size);
    tf.tidy(() => variable.assign(tf.tensor(given, variable.shape, 'float32')));
  }
}

function namedValues(parameters: readonly Parameter[], tensors: readonly TfTensor[]): Tensors {
  return new Map(
    parameters.map(({ name }, i) => [name, (elementAt(tensors, i, 'tensor').dataSync() as Float32Array).slice()]),
  );
}
