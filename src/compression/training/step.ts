/**
 * The interface of a training step, and the tensor functions that its kinds share: gradients of a batch, then the
 * update. `whole-step.ts` has both in one call, `shared-step.ts` too, with the exchange of replicas in between;
 * `exchanged-step.ts` leaves the engine for it.
 */
import type { Batch } from '../data/dataset.ts';
import type { Network, Parameter } from '../network/network.ts';
import type { Value } from '../operators/operator.ts';
import type { SharedBatch } from '../tensor/nn.ts';
import { tf, type TfTensor, type TfVariable } from '../tensor/tf.ts';
import type { Constraint } from './constraint.ts';
import { batchTensors, feedsOf, floatTensor, samplesOf, type BatchFeeds } from './feeds.ts';
import { clipByGlobalNorm, type Optimizer } from './optimizer.ts';
import type { NamedVariable } from './named-variable.ts';
import { validRows } from './rows.ts';
import { lossVariables, trainedParameters, type LossTerm, type TermView } from './term.ts';
import { elementAt } from '../ir/checked-access.ts';

/** Observes the gradients of every training step; may update its variables (scores for pruning). */
export interface GradientObserver {
  /** Part of the checkpoint. */
  readonly variables: readonly NamedVariable[];
  observe(parameter: Parameter, gradient: TfTensor): void;
}

export interface TrainingStepParts {
  readonly network: Network;
  readonly terms: readonly LossTerm[];
  readonly optimizer: Optimizer;
  readonly constraints: readonly Constraint[];
  readonly observers: readonly GradientObserver[];
  readonly clipNorm?: number;
  /** Training steps with this many samples that an ended process has done (`CompiledStepOptions.earlierRuns`). */
  readonly earlierSteps?: (samples: number) => number;
}

export interface TrainingStepSettings {
  /** Counts from 0 over the whole training. */
  readonly step: number;
  readonly learningRate: number;
  readonly seed: number;
}

/** Replicas draw differently, since they hold different samples. */
export function ownSeed(settings: TrainingStepSettings, rank: number): TrainingStepSettings {
  return { ...settings, seed: (settings.seed + Math.imul(rank, 0x9e3779b9)) | 0 };
}

export interface TrainingStep {
  /** Trains on one batch; the losses before the update: the sum, then each term without its weight. */
  run(batch: Batch, settings: TrainingStepSettings): Promise<number[]>;
  dispose(): void;
}

/** Builds a training step from its parts: the kinds differ in where the gradients come from. */
export type StepMaker = (parts: TrainingStepParts) => TrainingStep;

export function earlierRuns({ earlierSteps }: TrainingStepParts): (inputs: readonly TfTensor[]) => number {
  return (inputs) => earlierSteps?.(samplesOf(inputs)) ?? 0;
}

/** Inputs of a step: the batch, the seed (int32 [2]), the optimizer's scalars. */
export function packInputs(
  { network, optimizer }: TrainingStepParts,
  batch: Batch,
  { step, learningRate, seed }: TrainingStepSettings,
): TfTensor[] {
  const scalars = optimizer.scalars(step, learningRate).map((value) => tf.scalar(value));
  return [...batchTensors(network, batch), tf.tensor1d([seed | 0, step], 'int32'), ...scalars];
}

export function unpackInputs(
  { optimizer }: TrainingStepParts,
  inputs: readonly TfTensor[],
): { batch: TfTensor[]; seed: TfTensor; scalars: TfTensor[] } {
  const from = inputs.length - optimizer.scalars(0, 0).length;
  return {
    batch: inputs.slice(0, from - 1),
    seed: elementAt(inputs, from - 1, 'input of a training step'),
    scalars: inputs.slice(from),
  };
}

/** The values of scalars. */
export const readScalars = (scalars: readonly TfTensor[]): number[] =>
  scalars.map((scalar) => elementAt(scalar.dataSync(), 0, 'value'));

/** Reads the losses and frees a training step's tensors. */
export function readLosses(losses: TfTensor[], inputs: TfTensor[]): number[] {
  const read = readScalars(losses);
  tf.dispose([...losses, ...inputs]);
  return read;
}

export function stepVariables({ network, terms, optimizer, constraints, observers }: TrainingStepParts): TfVariable[] {
  return [
    ...lossVariables(network, terms),
    ...[optimizer.slots, ...[...constraints, ...observers].map(({ variables }) => variables)]
      .flat()
      .map(({ variable }) => variable),
  ];
}

interface Differentiated {
  /** Sum of weighted terms, then each term. */
  readonly losses: TfTensor[];
  /** By trained parameter; zeros if the loss does not depend on it. */
  readonly gradients: TfTensor[];
  readonly state: ReadonlyMap<string, TfTensor>;
}

/** A batch that several replicas share. */
export interface SharedShare {
  /** Scalar: this replica's part of the batch's samples. The loss is multiplied by it, and so are its gradients. */
  readonly weight: TfTensor;
  /** Statistics of the batch are those of the whole; absent: those of this share. */
  readonly sharedBatch?: SharedBatch;
}

export function differentiate(
  { network, terms }: Pick<TrainingStepParts, 'network' | 'terms'>,
  batch: readonly TfTensor[],
  seed: TfTensor,
  { weight, sharedBatch }: Partial<SharedShare> = {},
): Differentiated {
  const { feeds, rows, target } = feedsOf(network, batch);
  const prepared = terms.map((term) => term.prepare?.({ feeds, rows }) ?? []);
  const escaped: TfTensor[] = []; // results that must outlive the gradient's own scope
  const state = new Map<string, TfTensor>();
  const variables = trainedParameters(network, terms).map(({ variable }) => variable);
  const { value, grads } = tf.variableGrads(() => {
    const fetch = terms.flatMap((term) => term.fetch);
    const run = network.run(feeds, { training: true, seed, fetch, ...(sharedBatch && { sharedBatch }) });
    for (const [name, tensor] of run.stateUpdates) state.set(name, tf.keep(tensor));
    const losses = terms.map((term, i) =>
      term.loss(termView({ outputs: run.outputs, rows, target, prepared: elementAt(prepared, i, 'prepared term') })),
    );
    escaped.push(...losses.map((loss) => tf.keep(loss)));
    const sum = weightedSum(terms, losses);
    return weight ? tf.mul(sum, tf.reshape(weight, [])) : sum;
  }, variables);
  const losses = [value, ...escaped.map((loss) => loss.clone())];
  const kept = new Map([...state].map(([name, tensor]) => [name, tensor.clone()]));
  tf.dispose([...escaped, ...state.values()]);
  return {
    losses,
    gradients: variables.map((variable) => grads[variable.name] ?? tf.zerosLike(variable)),
    state: kept,
  };
}

export interface ForwardResult extends Pick<BatchFeeds, 'rows' | 'target'> {
  readonly outputs: ReadonlyMap<string, Value>;
  readonly prepared: readonly TfTensor[];
}

export function termView({ outputs, rows, target, prepared }: ForwardResult): TermView {
  const value = (name: string): TfTensor => {
    const found = outputs.get(name);
    if (!found) throw new Error(`the network gave no value "${name}"`);
    return validRows(floatTensor(found), rows);
  };
  return { value, target, prepared };
}

export function weightedSum(terms: readonly LossTerm[], losses: readonly TfTensor[]): ReturnType<typeof tf.scalar> {
  const weighted = losses.map((loss, i) => {
    const { weight } = elementAt(terms, i, 'term');
    return weight === 1 ? loss : tf.mul(loss, weight);
  });
  const [only, ...others] = weighted;
  return tf.reshape(only && others.length === 0 ? only : tf.addN(weighted), []);
}

/**
 * Passes raw gradients to the observers, then clips, updates and applies the constraints; assigns running statistics
 * unchanged.
 */
export function applyUpdate(
  { network, terms, optimizer, constraints, observers, clipNorm }: TrainingStepParts,
  gradients: readonly TfTensor[],
  state: ReadonlyMap<string, TfTensor>,
  scalars: readonly TfTensor[],
): void {
  network.parameters.forEach((parameter, i) =>
    observers.forEach((observer) => observer.observe(parameter, elementAt(gradients, i, 'gradient'))),
  );
  const clipped = clipNorm === undefined ? gradients : clipByGlobalNorm(gradients, clipNorm);
  trainedParameters(network, terms).forEach((parameter, i) => {
    const proposed = optimizer.update(parameter, elementAt(clipped, i, 'gradient'), scalars);
    parameter.variable.assign(
      constraints.reduce((value, constraint) => constraint.project(parameter, value), proposed),
    );
  });
  for (const { name, variable } of network.state) {
    const value = state.get(name);
    if (value) variable.assign(value);
  }
}
