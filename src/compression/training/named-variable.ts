/**
 * Training state addressed by kind and parameter name, so that another process can load it, with its parameters in any
 * order and number.
 */
import type { Parameter } from '../network/network.ts';
import { tf, type TfVariable } from '../tensor/tf.ts';

export interface NamedVariable {
  /** `value` for the parameter itself, else a name that the owner chooses: `momentum`, `mask`. */
  readonly kind: string;
  readonly parameter: string;
  readonly variable: TfVariable;
}

/** A variable of each parameter's shape, filled with `value`. The caller disposes of them. */
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
