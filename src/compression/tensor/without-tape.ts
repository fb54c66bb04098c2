import { tf } from './tf.ts';

/**
 * Runs tfjs operations without recording them for differentiation, as tfjs does inside a kernel. For results that no
 * gradient flows through (indices, masks, integers): tfjs has no gradient for their kernels, or a wrong one (it sends
 * gradients through a cast to integers).
 */
export function withoutTape<T>(compute: () => T): T {
  const { state } = tf.engine();
  state.kernelDepth++;
  try {
    return compute();
  } finally {
    state.kernelDepth--;
  }
}
