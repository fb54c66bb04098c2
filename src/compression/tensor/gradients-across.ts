/**
 * Gradients of a piece of a computation: into it come the gradients of what it gave to later pieces, out of it those of
 * what it was given.
 */
import { withGradient } from './nn/gradient.ts';
import { tf, type TfTensor } from './tf.ts';

/** A value that later pieces read, and the gradient of their result by it: the same shape, float32. */
export interface GivenGradient {
  readonly value: TfTensor;
  readonly gradient: TfTensor;
}

/**
 * A scalar 0 whose gradient by each value is the given one, so that a tape that begins there goes on where the tape of
 * the later pieces ended (a vector-Jacobian product, without the products that sum(value * gradient) would cost).
 */
export function startOf(given: readonly GivenGradient[]): TfTensor {
  return withGradient<readonly TfTensor[]>(
    given.map(({ value }) => value),
    () => ({ value: tf.scalar(0), saved: [], gradient: () => given.map(({ gradient }) => gradient) }),
  );
}

/**
 * Runs `compute` on a tape of its own. @returns its scalar, and its gradient by each tensor of `by`; null where it does
 * not depend on one. The caller disposes both.
 */
export function gradientsBy(
  by: readonly TfTensor[],
  compute: () => TfTensor,
): { value: TfTensor; gradients: (TfTensor | null)[] } {
  if (by.length === 0) return { value: tf.tidy(compute), gradients: [] };
  const { value, grads } = tf.engine().gradients(compute, [...by], undefined, true);
  return { value, gradients: by.map((_, i) => grads[i] ?? null) };
}
