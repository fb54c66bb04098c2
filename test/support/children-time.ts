/** CPU time of a process's ended children, which a busy machine does not lengthen. */
import { readFileSync } from 'node:fs';

/** Linux counts in hundredths of a second. */
const TICK_MS = 10;

/** Milliseconds, user and system; 0 if the system does not report it. */
export function childrenCpuMs(pid: number | 'self' = 'self'): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return (Number(fields[13]) + Number(fields[14])) * TICK_MS; // cutime and cstime; the state is field 0
  } catch {
    return 0;
  }
}
