/** A stage on the device: runs forward, and gives gradients across its cuts from a tape of its own. */
import type { Value } from '../../operators/operator.ts';
import { gradientsBy, startOf } from '../../tensor/gradients-across.ts';
import { tf, type TfTensor, type TfVariable } from '../../tensor/tf.ts';
import type { Network, Parameter, RunOptions } from '../network.ts';
import type { Crossing, StageParts } from './cut-plan.ts';

export interface StageGradients {
  /** The scalar that was differentiated: the loss in the last stage. */
  readonly value: TfTensor;
  /** Of the stage's parameters, then of `others`; zeros where nothing depends on one. */
  readonly parameters: readonly TfTensor[];
  /** Of received values; absent where the scalar does not depend on one. */
  readonly received: ReadonlyMap<string, TfTensor>;
  /** New running statistics by initializer name. */
  readonly state: ReadonlyMap<string, TfTensor>;
}

/** Values by name, in ONNX's order of axes. */
export type Values = ReadonlyMap<string, Value>;

export class Stage {
  readonly index: number;
  readonly inputs: readonly string[];
  readonly receives: readonly Crossing[];
  readonly sends: readonly Crossing[];
  readonly parameters: readonly Parameter[];
  readonly state: readonly Parameter[];
  private readonly network: Network;

  constructor({ index, inputs, receives, sends }: StageParts, network: Network) {
    this.index = index;
    this.inputs = inputs;
    this.receives = receives;
    this.sends = sends;
    this.parameters = network.parameters;
    this.state = network.state;
    this.network = network;
  }

  /** What the stage sends, and the results of the whole in the last stage. Call it inside a `tf.tidy`. */
  forward(feeds: Values, options: RunOptions): Values {
    return this.network.run(feeds, options).outputs;
  }

  /**
   * Runs forward on a tape and back from the gradients of what the stage sends (by name; absent: none).
   * Nothing of an earlier `forward` is needed but its feeds and seed.
   */
  backward(feeds: Values, options: RunOptions, sent: ReadonlyMap<string, TfTensor>): StageGradients {
    return this.differentiate(feeds, options, (outputs) => startOf(pairs(outputs, sent)));
  }

  /**
   * Gradients of a scalar of what the stage returns, in the last stage the loss.
   * @param others further variables to differentiate by
   */
  differentiate(
    feeds: Values,
    options: RunOptions,
    scalar: (outputs: Values) => TfTensor,
    others: readonly TfVariable[] = [],
  ): StageGradients {
    const received = this.receives.flatMap(({ name, learns }) => (learns ? tensorOf(name, feeds) : []));
    const variables = [...this.parameters.map(({ variable }) => variable), ...others];
    const state = new Map<string, TfTensor>();
    const { value, gradients } = gradientsBy([...variables, ...received.map(([, tensor]) => tensor)], () => {
      const { outputs, stateUpdates } = this.network.run(feeds, options);
      for (const [name, tensor] of stateUpdates) state.set(name, tf.keep(tensor)); // outlives the tape's own scope
      return scalar(outputs);
    });
    const [own, given] = [gradients.slice(0, variables.length), gradients.slice(variables.length)];
    return {
      value,
      parameters: variables.map((variable, i) => own[i] ?? tf.zerosLike(variable)),
      received: new Map(received.flatMap(([name], i) => (given[i] ? [[name, given[i]] as const] : []))),
      state: released(state),
    };
  }

  dispose(): void {
    this.network.dispose();
  }
}

function tensorOf(name: string, feeds: Values): [string, TfTensor][] {
  const value = feeds.get(name);
  return value?.kind === 'device' && value.tensor.dtype === 'float32' ? [[name, value.tensor]] : [];
}

/** What the stage sends with its gradient, where there is one. */
function pairs(outputs: Values, sent: ReadonlyMap<string, TfTensor>): { value: TfTensor; gradient: TfTensor }[] {
  return [...sent].map(([name, gradient]) => {
    const value = outputs.get(name);
    if (value?.kind !== 'device')
      throw new Error(`The stage has no value "${name}" that a gradient could come back to`);
    return { value: value.tensor, gradient };
  });
}

/** Copies that the caller's `tf.tidy` owns. */
function released(kept: ReadonlyMap<string, TfTensor>): ReadonlyMap<string, TfTensor> {
  const copies = new Map([...kept].map(([name, tensor]) => [name, tensor.clone()]));
  tf.dispose([...kept.values()]);
  return copies;
}
