/** Loops that do not end: broken off in the engine, named as the loop that takes the time or the memory. */
import { LatheError } from '../../errors.ts';
import { tf } from '../tensor/tf.ts';

export interface LoopLimit {
  /** Age of the run at which a loop that still goes on is broken off. */
  readonly milliseconds: number;
  /** Tensors that a loop may add to those which were there before. */
  readonly bytes: number;
}

/**
 * Watches for the loops of one run that starts now. A loop inside a loop is blamed only if it alone took half of the
 * time: otherwise it comes to its end, and the one around it is met next.
 * @returns for each loop that starts, what it calls before every round; that throws `deadline-exceeded` or
 * `out-of-memory`, to which the runner adds the node.
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
