/** How many processes compute a job's training, and how they share its threads. */
import type { JobTask } from '../job-process/protocol.ts';

export function replicaCount({ request, threads }: Pick<JobTask, 'request' | 'threads'>): number {
  const { mode = 'none', replicas = 'auto' } = request.parallel ?? {};
  if (mode !== 'sync' && mode !== 'async') return 1;
  return replicas === 'auto' ? threads : replicas;
}

/** At least one each, though the machine then has more to do than it has threads. */
export function threadsOfReplica({ threads }: Pick<JobTask, 'threads'>, replicas: number): number {
  return Math.max(1, Math.floor(threads / replicas));
}
