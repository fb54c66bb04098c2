/** A job's life as a table: what may happen in each state, and where it leads. */
import type { JobState } from '../contracts/job-states.ts';

/**
 * claim: a worker takes the job. release: the worker gives it back. lose: the worker's lease ran out, or it gave the
 * job back too often. give-up: no attempts are left. cancel: the client asks for it. confirm: the worker has stopped
 * the canceled job. expire: the job was queued for too long.
 */
export const JOB_TRANSITIONS = [
  'claim',
  'release',
  'lose',
  'give-up',
  'succeed',
  'fail',
  'cancel',
  'confirm',
  'expire',
] as const;
export type JobTransition = (typeof JOB_TRANSITIONS)[number];

const TRANSITIONS: Record<JobState, Partial<Record<JobTransition, JobState>>> = {
  queued: { claim: 'running', cancel: 'canceled', expire: 'expired' },
  running: {
    release: 'queued',
    lose: 'queued',
    'give-up': 'failed',
    succeed: 'succeeded',
    fail: 'failed',
    cancel: 'canceling',
  },
  // Whatever the worker does next, a job that was to be canceled ends canceled; a second request changes nothing.
  canceling: {
    confirm: 'canceled',
    release: 'canceled',
    lose: 'canceled',
    'give-up': 'canceled',
    succeed: 'canceled',
    fail: 'canceled',
    cancel: 'canceling',
  },
  succeeded: {},
  failed: {},
  canceled: {},
  expired: {},
};

/** `null`: that cannot happen in this state. */
export function nextState(state: JobState, transition: JobTransition): JobState | null {
  return TRANSITIONS[state][transition] ?? null;
}

/** States that `transition` can start from. */
export function statesBefore(transition: JobTransition): JobState[] {
  return (Object.keys(TRANSITIONS) as JobState[]).filter((state) => TRANSITIONS[state][transition] !== undefined);
}
