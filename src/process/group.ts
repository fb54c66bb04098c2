/** Signals to a whole process group. A child that was spawned `detached` leads a group of its own: its id names it. */

/** Does nothing where no process of the group is left, or the child was never started (`undefined`). */
export function signalGroup(leader: number | undefined, signal: NodeJS.Signals): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, signal);
  } catch {
    /* the group is gone */
  }
}

/**
 * SIGTERM to the group, SIGKILL after `graceMs`; resolves when its leader has ended.
 * @param ended resolves at the leader's end
 */
export async function endGroup(leader: number | undefined, ended: Promise<unknown>, graceMs: number): Promise<void> {
  signalGroup(leader, 'SIGTERM');
  const timer = setTimeout(() => signalGroup(leader, 'SIGKILL'), graceMs);
  await ended;
  clearTimeout(timer);
}
