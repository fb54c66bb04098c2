/** What a parameter must satisfy after every update: masks that keep pruned weights at zero. */
import type { Parameter } from '../network/network.ts';
import { tf, type TfTensor, type TfVariable } from '../tensor/tf.ts';
import { byParameter, disposeAll, variablesLike, type NamedVariable } from './named-variable.ts';

export interface Constraint {
  /** What `project` reads; part of the checkpoint. */
  readonly variables: readonly NamedVariable[];
  /** The nearest allowed value of a parameter; the same tensor if it is unconstrained. */
  project(parameter: Parameter, value: TfTensor): TfTensor;
}

/** Masks of 0 and 1 by parameter name, in the parameter's physical layout. They may be assigned between steps. */
export class Masks implements Constraint {
  readonly variables: readonly NamedVariable[];
  readonly byName: ReadonlyMap<string, TfVariable>;

  /** All ones, for these parameters. */
  constructor(parameters: readonly Parameter[]) {
    this.variables = variablesLike(parameters, 'mask', 1);
    this.byName = byParameter(this.variables);
  }

  project(parameter: Parameter, value: TfTensor): TfTensor {
    const mask = this.byName.get(parameter.name);
    return mask ? tf.mul(value, mask) : value;
  }

  /** Sets one mask and zeroes the weights that it closes. */
  set({ name, variable }: Parameter, mask: Float32Array): void {
    const held = this.byName.get(name);
    if (!held) throw new Error(`parameter "${name}" has no mask`);
    tf.tidy(() => {
      held.assign(tf.tensor(mask, variable.shape, 'float32'));
      variable.assign(tf.mul(variable, held));
    });
  }

  /** Closes a mask wherever the weight is zero. */
  freezeZeros(parameter: Parameter): void {
    this.set(
      parameter,
      Float32Array.from(parameter.variable.dataSync(), (weight) => (weight === 0 ? 0 : 1)),
    );
  }

  dispose(): void {
    disposeAll(this.variables);
  }
}
