/** Candidate factorizations of a layer, and the choice among them. */
import type { Node, Tensor } from '../../ir/types.ts';
import type { FactorizeParameters } from './spec.ts';

export interface LayerCost {
  /** Weights, without biases. */
  readonly parameters: number;
  /** Multiply-accumulates for one position of the layer's output. */
  readonly macs: number;
}

/** The nodes that replace the layer's, in order. */
export interface Replacement {
  readonly nodes: readonly Node[];
  readonly tensors: readonly Tensor[];
}

/** A layer at chosen ranks. */
export interface Factorization extends LayerCost {
  /** Upper bound of the lost share of the sum of squared weights. */
  readonly error: number;
  /** Computes the factors. @param fresh gives names that the model does not have */
  replacement(fresh: (base: string) => string): Replacement;
}

export type Target = Pick<FactorizeParameters, 'energy' | 'rank' | 'ratio'>;

/**
 * Chooses among those with fewer weights and operations than the layer: given an energy the cheapest, else the closest;
 * null if there is none.
 */
export function choose(
  factorizations: readonly Factorization[],
  layer: LayerCost,
  { energy }: Target,
): Factorization | null {
  const cheaper = factorizations.filter(({ parameters, macs }) => parameters < layer.parameters && macs < layer.macs);
  const order =
    energy !== undefined
      ? (a: Factorization, b: Factorization) => a.macs - b.macs || a.parameters - b.parameters
      : (a: Factorization, b: Factorization) => a.error - b.error || a.macs - b.macs;
  return cheaper.sort(order)[0] ?? null;
}

/** The lost share of the squared singular values when the first `rank` are kept, by rank from 0 to all. */
export function lostEnergy(values: ArrayLike<number>): Float64Array {
  const lost = new Float64Array(values.length + 1);
  let all = 0;
  for (let i = values.length - 1; i >= 0; i--) lost[i] = all += (values[i] ?? 0) ** 2;
  return all === 0 ? lost : lost.map((energy) => energy / all);
}

/** The rank of two factors. @param perRank weights that one more rank costs */
export function rankFor(
  lost: Float64Array,
  perRank: number,
  { parameters }: LayerCost,
  { energy, rank, ratio }: Target,
): number {
  const max = lost.length - 1;
  if (rank !== undefined) return Math.min(rank, max);
  if (ratio !== undefined) return Math.min(Math.floor((ratio * parameters) / perRank), max);
  return minRank(lost, 1 - (energy ?? 1));
}

/** The lowest rank that loses no more, up to the rounding of the singular values. */
export function minRank(lost: Float64Array, max: number): number {
  const rank = lost.findIndex((energy) => energy <= max + ROUNDING);
  return Math.max(1, rank);
}

const ROUNDING = 1e-12;
