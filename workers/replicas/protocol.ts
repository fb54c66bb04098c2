/** What a job process and its replicas say to each other over Node's IPC channel. */
import type { JobTask, TaskFailure } from '../job-process/protocol.ts';

/** Job process to replica, once. */
export interface ReplicaTask {
  readonly task: JobTask;
  readonly rank: number;
  readonly size: number;
  /** Index of the recipe's step that is to be trained. */
  readonly step: number;
  /** The state before it: a file. */
  readonly statePath: string;
  /** Of a worker of an asynchronous training: the checkpoint that its server resumes from, a file; null: there is none. */
  readonly checkpointPath?: string | null;
  readonly threads: number;
  /** Name of the memory that tensors are exchanged in; null: they travel on the stream. */
  readonly sharedMemory: string | null;
}

/** Replica to job process. */
export type ReplicaMessage = { readonly type: 'failed'; readonly failure: TaskFailure };

/** The file descriptor of the stream to rank 0: the first after Node's own. */
export const STREAM_FD = 4;
