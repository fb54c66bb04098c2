/**
 * Memory of other processes and of this machine, as Linux tells it; elsewhere unknown (0), and the limits below are not
 * enforced.
 */
import { existsSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';

export function residentBytes(pid: number): number {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0;
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
