/** Events of a job, as workers write them and clients read them. */

export type JobEventType =
  | 'queued'
  | 'waiting'
  | 'started'
  | 'progress'
  | 'metric'
  | 'warning'
  | 'step'
  | 'retrying'
  | 'canceling'
  | 'succeeded'
  | 'failed'
  | 'canceled'
  | 'expired';

/** What a running job reports; stored in order and sent to followers (SSE). */
export interface JobEvent {
  readonly type: JobEventType;
  readonly data: Record<string, unknown>;
}
