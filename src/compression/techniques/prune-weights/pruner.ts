/**
 * Prunes while a network trains: masks over its kernels, which close gradually before the training steps in the plan.
 */
import type { Network, Parameter } from '../../network/network.ts';
import { Masks } from '../../training/constraint.ts';
import type { KernelWeight } from '../kernel-weights.ts';
import { makeCriterion, type Criterion } from './criterion.ts';
import { makeScorer, type Scorer } from './scores.ts';
import type { PruneWeightsParameters } from './spec.ts';
import { elementAt, entryOf } from '../../ir/checked-access.ts';

export class Pruner {
  readonly masks: Masks;
  readonly scorer: Scorer;
  private readonly parameters: readonly Parameter[];
  private readonly layout: readonly { readonly dims: readonly number[]; readonly axis: number | null }[];
  private readonly criterion: Criterion;

  /** `frozen`: names of weights whose zeros must stay, pruned here or not. */
  constructor(
    network: Network,
    weights: readonly KernelWeight[],
    parameters: PruneWeightsParameters,
    frozen: ReadonlySet<string>,
  ) {
    const byName = new Map(weights.map((weight) => [weight.name, weight]));
    this.parameters = network.parameters.filter(({ name }) => byName.has(name));
    this.layout = this.parameters.map((parameter) =>
      physicalLayout(parameter, entryOf(byName, parameter.name, 'weight').reductionAxis),
    );
    this.criterion = makeCriterion(
      parameters,
      this.parameters.map(({ variable }) => Float32Array.from(variable.dataSync())),
    );
    this.scorer = makeScorer(parameters.score, this.parameters);
    this.masks = new Masks(network.parameters.filter(({ name }) => byName.has(name) || frozen.has(name)));
    for (const parameter of network.parameters) if (frozen.has(parameter.name)) this.masks.freezeZeros(parameter);
  }

  get names(): string[] {
    return this.parameters.map(({ name }) => name);
  }

  /** Closes masks up to `fraction` of the way to the target. */
  prune(fraction: number): void {
    const layers = this.parameters.map((parameter, i) => ({
      ...elementAt(this.layout, i, 'layout'),
      scores: this.scoresOf(parameter),
    }));
    const masks = this.criterion(layers, fraction);
    this.parameters.forEach((parameter, i) => this.masks.set(parameter, elementAt(masks, i, 'mask')));
  }

  /** Pruned weights stay pruned. */
  private scoresOf(parameter: Parameter): Float32Array {
    const scores = this.scorer.scores(parameter);
    const mask = entryOf(this.masks.byName, parameter.name, 'mask of').dataSync();
    return scores.map((score, i) => (mask[i] === 0 ? -Infinity : score));
  }

  dispose(): void {
    this.masks.dispose();
    this.scorer.dispose();
  }
}

/** Shape and reduction axis in the engine's order of axes. */
function physicalLayout(
  { dims, perm }: Parameter,
  axis: number | null,
): { dims: readonly number[]; axis: number | null } {
  if (!perm) return { dims, axis };
  return { dims: perm.map((from) => elementAt(dims, from, 'axis')), axis: axis === null ? null : perm.indexOf(axis) };
}
