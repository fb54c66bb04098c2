/**
 * One training step as a function of tensors, compiled: whole (gradients and update in one call), or split at the
 * gradients, so that several replicas can average them in between.
 */
import type { Batch } from '../data/dataset.ts';
import type { Network, Parameter } from '../network/network.ts';
import type { Value } from '../operators/operator.ts';
import { compileStep, type CompiledStep } from '../tensor/compile.ts';
import { tf, type TfTensor, type TfVariable } from '../tensor/tf.ts';
import type { Constraint } from './constraint.ts';
import { batchTensors, feedsOf, floatTensor, samplesOf, type BatchFeeds } from './feeds.ts';
import { clipByGlobalNorm, type Optimizer } from './optimizer.ts';
import { countedRows } from './rows.ts';
import { lossVariables, trainedParameters, type LossTerm, type TermView } from './term.ts';

/** Sees the gradients of every step; may update its variables (scores that pruning collects). */
export interface GradientObserver {
  readonly variables: readonly TfVariable[];
  observe(parameter: Parameter, gradient: TfTensor): void;
}

/** Averages gradients, weighted by samples, over all that train the same model. Takes over its arguments. */
export interface GradientExchange {
  average(tensors: TfTensor[], samples: number): Promise<TfTensor[]>;
}

export interface StepParts {
  readonly network: Network;
  readonly terms: readonly LossTerm[];
  readonly optimizer: Optimizer;
  readonly constraints: readonly Constraint[];
  readonly observers: readonly GradientObserver[];
  readonly clipNorm?: number;
  /** Steps with this many samples that an ended process has trained (`StepSpec.earlierRuns`). */
  readonly earlierSteps?: (samples: number) => number;
}

export interface StepSettings {
  /** Counts from 0 over the whole training. */
  readonly step: number;
  readonly learningRate: number;
  readonly seed: number;
}

export interface TrainingStep {
  /** Trains on one batch; the losses before the update: the sum, then each term without its weight. */
  run(batch: Batch, settings: StepSettings): Promise<number[]>;
  dispose(): void;
}

/** With an exchange the step is split; without, it is compiled whole. */
export function trainingStep(parts: StepParts, exchange: GradientExchange | null): TrainingStep {
  return exchange ? splitStep(parts, exchange) : wholeStep(parts);
}

function wholeStep(parts: StepParts): TrainingStep {
  let compiled: CompiledStep | null = null;
  const step = (inputs: TfTensor[]): TfTensor[] => {
    const { batch, seed, scalars } = unpack(parts, inputs);
    const result = differentiate(parts, batch, seed);
    update(parts, result.gradients, result.state, scalars);
    return result.losses;
  };
  return {
    run: async (batch, settings) => {
      const inputs = pack(parts, batch, settings);
      compiled ??= compileStep({ inputs, variables: variablesOf(parts), step, earlierRuns: earlierRuns(parts) });
      return values(compiled.run(inputs), inputs);
    },
    dispose: () => compiled?.dispose(),
  };
}

function splitStep(parts: StepParts, exchange: GradientExchange): TrainingStep {
  const { network, terms } = parts;
  const scalarCount = parts.optimizer.scalars(0, 0).length;
  let gradientStep: CompiledStep | null = null;
  let updateStep: CompiledStep | null = null;
  const gradients = (inputs: TfTensor[]): TfTensor[] => {
    const { batch, seed } = unpack(parts, inputs);
    const { losses, gradients, state } = differentiate(parts, batch, seed);
    return [...losses, ...gradients, ...network.state.map(({ name, variable }) => state.get(name) ?? variable.clone())];
  };
  const apply = (inputs: TfTensor[]): TfTensor[] => {
    const count = trainedParameters(network, terms).length;
    const state = new Map(network.state.map(({ name }, i) => [name, inputs[count + i]!]));
    update(parts, inputs.slice(0, count), state, inputs.slice(inputs.length - scalarCount));
    return [];
  };
  return {
    run: async (batch, settings) => {
      const inputs = pack(parts, batch, settings);
      gradientStep ??= compileStep({
        inputs,
        variables: variablesOf(parts),
        step: gradients,
        earlierRuns: earlierRuns(parts),
      });
      const results = gradientStep.run(inputs);
      const averaged = await exchange.average(results.slice(terms.length + 1), batch.size);
      const updateInputs = [...averaged, ...inputs.slice(inputs.length - scalarCount).map((scalar) => scalar.clone())];
      updateStep ??= compileStep({ inputs: updateInputs, variables: variablesOf(parts), step: apply });
      tf.dispose(updateStep.run(updateInputs));
      tf.dispose(updateInputs);
      return values(results.slice(0, terms.length + 1), inputs);
    },
    dispose: () => {
      gradientStep?.dispose();
      updateStep?.dispose();
    },
  };
}

function earlierRuns({ earlierSteps }: StepParts): (inputs: readonly TfTensor[]) => number {
  return (inputs) => earlierSteps?.(samplesOf(inputs)) ?? 0;
}

/** Inputs of a step: the batch, the seed (int32 [2]), the optimizer's scalars. */
function pack({ network, optimizer }: StepParts, batch: Batch, { step, learningRate, seed }: StepSettings): TfTensor[] {
  const scalars = optimizer.scalars(step, learningRate).map((value) => tf.scalar(value));
  return [...batchTensors(network, batch), tf.tensor1d([seed | 0, step], 'int32'), ...scalars];
}

function unpack(
  { optimizer }: StepParts,
  inputs: readonly TfTensor[],
): { batch: TfTensor[]; seed: TfTensor; scalars: TfTensor[] } {
  const from = inputs.length - optimizer.scalars(0, 0).length;
  return { batch: inputs.slice(0, from - 1), seed: inputs[from - 1]!, scalars: inputs.slice(from) };
}

/** Reads the losses and frees a step's tensors. */
function values(losses: TfTensor[], inputs: TfTensor[]): number[] {
  const read = losses.map((loss) => loss.dataSync()[0]!);
  tf.dispose([...losses, ...inputs]);
  return read;
}

function variablesOf({ network, terms, optimizer, constraints, observers }: StepParts): TfVariable[] {
  return [
    ...lossVariables(network, terms),
    ...optimizer.slots,
    ...constraints.flatMap(({ variables }) => variables),
    ...observers.flatMap(({ variables }) => variables),
  ];
}

interface Differentiated {
  /** Sum of weighted terms, then each term. */
  readonly losses: TfTensor[];
  /** By trained parameter; zeros where the loss does not depend on it. */
  readonly gradients: TfTensor[];
  readonly state: ReadonlyMap<string, TfTensor>;
}

function differentiate({ network, terms }: StepParts, batch: readonly TfTensor[], seed: TfTensor): Differentiated {
  const { feeds, rows, target } = feedsOf(network, batch);
  const prepared = terms.map((term) => term.prepare?.({ feeds, rows }) ?? []);
  const escaped: TfTensor[] = []; // results that must outlive the gradient's own scope
  const state = new Map<string, TfTensor>();
  const variables = trainedParameters(network, terms).map(({ variable }) => variable);
  const { value, grads } = tf.variableGrads(() => {
    const run = network.run(feeds, { training: true, seed, fetch: terms.flatMap(({ fetch }) => fetch) });
    for (const [name, tensor] of run.stateUpdates) state.set(name, tf.keep(tensor));
    const losses = terms.map((term, i) =>
      term.loss(viewOf({ outputs: run.outputs, rows, target, prepared: prepared[i]! })),
    );
    escaped.push(...losses.map((loss) => tf.keep(loss)));
    return weightedSum(terms, losses);
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

export interface RunView extends Pick<BatchFeeds, 'rows' | 'target'> {
  readonly outputs: ReadonlyMap<string, Value>;
  readonly prepared: readonly TfTensor[];
}

export function viewOf({ outputs, rows, target, prepared }: RunView): TermView {
  const value = (name: string): TfTensor => {
    const found = outputs.get(name);
    if (!found) throw new Error(`the network gave no value "${name}"`);
    return countedRows(floatTensor(found), rows);
  };
  return { value, target, prepared };
}

export function weightedSum(terms: readonly LossTerm[], losses: readonly TfTensor[]): ReturnType<typeof tf.scalar> {
  const weighted = losses.map((loss, i) => (terms[i]!.weight === 1 ? loss : tf.mul(loss, terms[i]!.weight)));
  return tf.reshape(weighted.length === 1 ? weighted[0]! : tf.addN(weighted), []);
}

/**
 * Observers see the raw gradients; then clipping, the optimizer's update, the constraints; running statistics are set
 * as they are.
 */
function update(
  { network, terms, optimizer, constraints, observers, clipNorm }: StepParts,
  gradients: readonly TfTensor[],
  state: ReadonlyMap<string, TfTensor>,
  scalars: readonly TfTensor[],
): void {
  network.parameters.forEach((parameter, i) =>
    observers.forEach((observer) => observer.observe(parameter, gradients[i]!)),
  );
  const clipped = clipNorm === undefined ? gradients : clipByGlobalNorm(gradients, clipNorm);
  trainedParameters(network, terms).forEach((parameter, i) => {
    const proposed = optimizer.update(i, clipped[i]!, scalars);
    parameter.variable.assign(
      constraints.reduce((value, constraint) => constraint.project(parameter, value), proposed),
    );
  });
  for (const { name, variable } of network.state) {
    const value = state.get(name);
    if (value) variable.assign(value as TfVariable);
  }
}
