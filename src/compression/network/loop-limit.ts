/** Breaks off loops that do not end, naming the loop that takes the time or the memory. */
import { LatheError } from '../../errors.ts';
import { tf } from '../tensor/tf.ts';

export interface LoopLimit {
  /** Age of the run after which a loop is broken off. */
  readonly milliseconds: number;
  /** Bytes of tensors that a loop may allocate. */
  readonly bytes: number;
}

/**
 * Watches the loops of one run that starts now. An inner loop is blamed only if it alone took half of the time;
 * otherwise it may end, and the loop around it is checked next.
 * @returns a function to call when a loop starts; it returns the check to call before every round, which throws
 * `deadline-exceeded` or `out-of-memory`. The runner adds the node.
 */
export function watchLoops(limit: LoopLimit | undefined): () => () => void {
  if (limit === undefined) return () => () => {};
  const end = performance.now() + limit.milliseconds;
  return () => {
    const started = performance.now();
    const held = tf.memory().numBytes;
    let rounds = 0;
    return () => {
      const now = performance.now();
      const after = `the loop had not ended after ${rounds} rounds`;
      if (now > end && now - started > limit.milliseconds / 2)
        throw new LatheError('deadline-exceeded', `${after} in ${((now - started) / 1000).toFixed(1)} s`);
      if (tf.memory().numBytes - held > limit.bytes)
        throw new LatheError(
          'out-of-memory',
          `${after}, which made tensors of more than ${Math.round(limit.bytes / 2 ** 20)} MiB`,
        );
      rounds++;
    };
  };
}
