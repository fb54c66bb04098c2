/** A job's life as a table: what may happen in each state, and where it leads. */
import type { JobState } from '../contracts/job-states.ts';

/**
 * claim: a worker takes it. release: the worker gives it back. lose: the worker's lease ran out,
 * or it gives the job back once too often. give-up: no
 * attempts are left. cancel: the client asks. confirm: the worker has stopped what was running. expire: queued for
 * too long.
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

/** States from which `happening` leads somewhere. */
export function statesBefore(transition: JobTransition): JobState[] {
  return (Object.keys(TRANSITIONS) as JobState[]).filter((state) => TRANSITIONS[state][transition] !== undefined);
}
