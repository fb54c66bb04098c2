/**
 * Delay compensation (Zheng et al. 2017, arXiv 1609.08326, DC-ASGD-a): a late gradient is corrected to first order for
 * how far the weights have moved since, with g * g as the diagonal of the Hessian:
 * g <- g + lambda * g * g * (w - w_pulled), lambda = lambda0 / sqrt(mean square of g + epsilon).
 */
import { entryOf } from '../../ir/checked-access.ts';
import { valuesOf, zerosLike, type Tensors } from './tensors.ts';

export interface CompensationSettings {
  readonly lambda: number;
  /** Weight of the past in the mean square. 0: the present gradient's alone. */
  readonly memory: number;
}

/** The paper's for CIFAR-10 and ImageNet (section 6). */
export const COMPENSATION: CompensationSettings = { lambda: 2, memory: 0.95 };
const EPSILON = 1e-7;

/** Corrects gradients: given the weights now and when they were pulled. */
export type Compensation = (gradient: Tensors, now: Tensors, pulled: Tensors) => Tensors;

export function delayCompensation(
  weights: Tensors,
  { lambda, memory }: CompensationSettings = COMPENSATION,
): Compensation {
  const squares = zerosLike(weights);
  return (gradient, now, pulled) =>
    new Map(
      [...gradient].map(([name, g]) => {
        const square = entryOf(squares, name, 'mean square of');
        const [w, before] = [valuesOf(now, name, g.length), valuesOf(pulled, name, g.length)];
        const corrected = new Float32Array(g.length);
        for (let i = 0; i < g.length; i++) {
          const gi = g[i]!;
          const mean = memory * square[i]! + (1 - memory) * gi * gi;
          square[i] = mean;
          corrected[i] = gi + (lambda / Math.sqrt(mean + EPSILON)) * gi * gi * (w[i]! - before[i]!);
        }
        return [name, corrected];
      }),
    );
}
