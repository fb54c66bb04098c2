/**
 * State of a training by what it is and the parameter it belongs to, so that whoever has the parameters can take it up,
 * in whatever order and number.
 */
import type { Parameter } from '../network/network.ts';
import { tf, type TfVariable } from '../tensor/tf.ts';

export interface NamedVariable {
  /** `value` for the parameter itself, else a word of the owner's: `momentum`, `mask`. */
  readonly kind: string;
  readonly parameter: string;
  readonly variable: TfVariable;
}

/** One of the parameter's shape for each, all elements `value`. To be disposed of. */
export function variablesLike(parameters: readonly Parameter[], kind: string, value: 0 | 1): NamedVariable[] {
  return parameters.map(({ name, variable: { shape } }) => ({
    kind,
    parameter: name,
    variable: tf.tidy(() => tf.variable(value === 0 ? tf.zeros(shape) : tf.ones(shape), false)),
  }));
}

/** The parameters themselves. */
export function valuesOf(parameters: readonly Parameter[]): NamedVariable[] {
  return parameters.map(({ name, variable }) => ({ kind: 'value', parameter: name, variable }));
}

/** Variables of one kind by parameter. */
export function byParameter(variables: readonly NamedVariable[]): ReadonlyMap<string, TfVariable> {
  return new Map(variables.map(({ parameter, variable }) => [parameter, variable]));
}

export function disposeAll(variables: readonly NamedVariable[]): void {
  tf.dispose(variables.map(({ variable }) => variable));
}
