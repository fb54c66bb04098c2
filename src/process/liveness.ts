/** Whether a process lives, asked by its id: it need not be a child of this one. */
import { isAlive } from './process-state.mjs';

export { isAlive, startTicks } from './process-state.mjs';

/** @returns whether the process ended within `milliseconds` */
export async function waitForExit(pid: number, milliseconds: number): Promise<boolean> {
  const until = Date.now() + milliseconds;
  while (isAlive(pid)) {
    if (Date.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}
