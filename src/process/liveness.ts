/** Whether a process lives, asked by its id: it need not be a child of this one. */
import { readFileSync } from 'node:fs';

/** A zombie, which only waits for its parent to read its exit code, does not count as alive. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** @returns whether the process ended within `milliseconds` */
export async function waitForExit(pid: number, milliseconds: number): Promise<boolean> {
  const until = Date.now() + milliseconds;
  while (isAlive(pid)) {
    if (Date.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

/**
 * When the process started, in clock ticks since boot: tells a process from a later one with the same id. `null` where
 * /proc is absent.
 */
export function startTicks(pid: number): string | null {
  return statField(pid, 19);
}

function isZombie(pid: number): boolean {
  return statField(pid, 0) === 'Z';
}

/** Field of /proc/PID/stat after the command's name, which may itself hold blanks and brackets. */
function statField(pid: number, index: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[index] ?? null;
  } catch {
    return null;
  }
}
