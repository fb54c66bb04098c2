/**
 * Lets timers, signals and messages run: training computes synchronously, and a cancel must take effect between two
 * batches.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
