/** A term of the training loss. Techniques compose terms (labels, a teacher...); the training step adds them up. */
import type { TfTensor, TfVariable } from '../tensor/tf.ts';
import type { Network, Parameter } from '../network/network.ts';
import type { BatchFeeds } from './feeds.ts';

/** What a term sees of one batch. */
export interface TermView {
  /**
   * A float tensor of the trained network for the samples that count, in ONNX's order of axes: one of its outputs or of
   * the term's `fetch`.
   */
  value(name: string): TfTensor;
  /** int32 [n] classes or float32 [n, ...] values; null if the data are unlabelled. */
  readonly target: TfTensor | null;
  /** The result of `prepare`. */
  readonly prepared: readonly TfTensor[];
}

export interface LossTerm {
  readonly name: string;
  readonly weight: number;
  /** Values of the trained network that the term needs beside its outputs. */
  readonly fetch: readonly string[];
  /** Variables that `prepare` reads, which the step does not train (a teacher's). */
  readonly variables?: readonly TfVariable[];
  /** The term's own variables, trained with the network but part of no model (a regressor between features). */
  readonly parameters?: readonly Parameter[];
  /** Computed before the gradient tape starts: no gradient flows into it. */
  prepare?(batch: Pick<BatchFeeds, 'feeds' | 'rows'>): TfTensor[];
  /** Scalar: the mean over the batch. */
  loss(view: TermView): TfTensor;
}

/** A figure of merit; `evaluate` gives the sum over the batch's samples, a scalar. */
export interface Metric {
  readonly name: string;
  readonly better: 'higher' | 'lower';
  readonly fetch: readonly string[];
  evaluate(view: TermView): TfTensor;
}

/** All variables that a training with these terms updates by gradients, the network's own first. */
export function trainedParameters(network: Network, terms: readonly LossTerm[]): readonly Parameter[] {
  return [...network.parameters, ...terms.flatMap(({ parameters }) => parameters ?? [])];
}

/** All variables that losses of these terms read, each once. */
export function lossVariables(network: Network, terms: readonly LossTerm[]): TfVariable[] {
  const own = [...trainedParameters(network, terms), ...network.state].map(({ variable }) => variable);
  return [...new Set([...own, ...terms.flatMap(({ variables }) => variables ?? [])])];
}
