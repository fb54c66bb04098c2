/**
 * What the system tells of a process by its id. Plain JavaScript, as pid-lock.mjs is: the set-up uses both before
 * anything is installed or compiled.
 */
import { readFileSync } from 'node:fs';

/**
 * A zombie, which only waits for its parent to read its exit code, does not count as alive.
 * @param {number} pid
 * @returns {boolean}
 */
export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return statField(pid, 0) !== 'Z';
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/**
 * When the process started, in clock ticks since boot: tells a process from a later one with the same id. `null` where
 * /proc is absent.
 * @param {number} pid
 * @returns {string | null}
 */
export function startTicks(pid) {
  return statField(pid, 19);
}

/**
 * Field of /proc/PID/stat after the command's name, which may itself hold blanks and brackets.
 * @param {number} pid
 * @param {number} index
 * @returns {string | null}
 */
function statField(pid, index) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[index] ?? null;
  } catch {
    return null;
  }
}
