/**
 * Lets timers, signals and messages in: training computes synchronously, and a cancel must be heard between two
 * batches.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
