/** The activation functions that LSTM, GRU and RNN name in their attributes. */
import { nth } from '../../ir/checked-access.ts';
import { GraphError } from '../../ir/graph-error.ts';
import * as nn from '../../tensor/nn.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';
import { hardSigmoid, leakyRelu, negativeExponential, thresholdedRelu } from '../activation.ts';
import type { NodeInfo } from '../../ir/node-info.ts';

export type Activation = (x: TfTensor) => TfTensor;
type Family = (alpha: number | undefined, beta: number | undefined) => Activation;

const FAMILIES: Readonly<Record<string, Family>> = {
  sigmoid: () => (x) => tf.sigmoid(x),
  tanh: () => (x) => tf.tanh(x),
  relu: () => nn.relu,
  affine:
    (alpha = 1, beta = 0) =>
    (x) =>
      tf.add(tf.mul(x, alpha), beta),
  leakyrelu:
    (alpha = 0.01) =>
    (x) =>
      leakyRelu(x, alpha),
  thresholdedrelu:
    (alpha = 1) =>
    (x) =>
      thresholdedRelu(x, alpha),
  scaledtanh:
    (alpha = 1, beta = 1) =>
    (x) =>
      tf.mul(tf.tanh(tf.mul(x, beta)), alpha),
  hardsigmoid:
    (alpha = 0.2, beta = 0.5) =>
    (x) =>
      hardSigmoid(x, alpha, beta),
  elu:
    (alpha = 1) =>
    (x) =>
      tf.add(nn.relu(x), negativeExponential(x, alpha)),
  softsign: () => (x) => tf.div(x, tf.add(tf.abs(x), 1)),
  softplus: () => (x) => tf.softplus(x),
};
/** How many of the lists `activation_alpha` and `activation_beta` each one takes. */
const TAKES: Readonly<Record<string, readonly [number, number]>> = {
  affine: [1, 1],
  leakyrelu: [1, 0],
  thresholdedrelu: [1, 0],
  scaledtanh: [1, 1],
  hardsigmoid: [1, 1],
  elu: [1, 0],
};

export interface Activations {
  readonly functions: readonly Activation[];
  /** All are the operator's defaults, and nothing is clipped. */
  readonly standard: boolean;
}

/** The functions of each direction, `perDirection` of them, clipped before they are applied where `clip` says so. */
export function activationsOf(info: NodeInfo, defaults: readonly string[], directions: number): Activations[] {
  const attribute = info.attribute('activations');
  const names =
    attribute?.kind === 'strings' && attribute.value.length > 0
      ? attribute.value
      : Array.from({ length: directions }, () => defaults).flat();
  if (names.length !== defaults.length * directions)
    throw new GraphError(`${names.length} activations are given, ${defaults.length * directions} are needed`);
  const [alphas, betas] = [[...(info.floats('activation_alpha') ?? [])], [...(info.floats('activation_beta') ?? [])]];
  const clip = info.attribute('clip') ? info.float('clip', 0) : 0;
  const made = names.map((name) => {
    const key = name.toLowerCase();
    const family = FAMILIES[key];
    if (!family) throw new GraphError(`activation "${name}" is not known`);
    const [takesAlpha, takesBeta] = TAKES[key] ?? [0, 0];
    return clipped(family(takesAlpha ? alphas.shift() : undefined, takesBeta ? betas.shift() : undefined), clip);
  });
  return Array.from({ length: directions }, (_, d) => ({
    functions: made.slice(d * defaults.length, (d + 1) * defaults.length),
    standard:
      clip === 0 &&
      names
        .slice(d * defaults.length, (d + 1) * defaults.length)
        .every((name, i) => name.toLowerCase() === nth(defaults, i).toLowerCase()),
  }));
}

function clipped(activation: Activation, clip: number): Activation {
  return clip > 0 ? (x) => activation(tf.clipByValue(x, -clip, clip)) : activation;
}
