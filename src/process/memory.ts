/** Memory of processes and of this machine, as Linux tells it. Elsewhere unknown (0): limits are not enforced there. */
import { existsSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';

/**
 * Resident set (what lies in memory now), its part that is no file's, or data segment (what RLIMIT_DATA bounds) of a
 * process, in bytes.
 */
export function memoryBytes(pid: number, kind: 'VmRSS' | 'RssAnon' | 'VmData'): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kilobytes = new RegExp(`^${kind}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0; // it has ended, or the system has no /proc
  }
}

/** How often the kernel ended a process of this control group for lack of memory. */
export function kernelOutOfMemoryKills(): number {
  const path = '/sys/fs/cgroup/memory.events';
  if (!existsSync(path)) return 0;
  return Number(/^oom_kill (\d+)$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? 0);
}

/** Memory that this container or machine may use. */
export function availableMemoryBytes(): number {
  try {
    const limit = Number(readFileSync('/sys/fs/cgroup/memory.max', 'utf8').trim());
    if (Number.isFinite(limit) && limit > 0) return Math.min(limit, totalmem());
  } catch {
    /* no control group limit */
  }
  return totalmem();
}
