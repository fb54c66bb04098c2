/** The states of a job: the one list that schemas, rules, store and clients share. */

/** States a job can still leave; it holds on to its model and dataset in them. */
export const ACTIVE_STATES = ['queued', 'running', 'canceling'] as const;

/** States that last. The event that brings a job to its end is named like the state. */
export const ENDED_STATES = ['succeeded', 'failed', 'canceled', 'expired'] as const;

export const JOB_STATES = [...ACTIVE_STATES, ...ENDED_STATES] as const;
export type JobState = (typeof JOB_STATES)[number];
export type EndedState = (typeof ENDED_STATES)[number];

/** @param name of a state, or of a job's event */
export function isEnded(name: string): name is EndedState {
  return (ENDED_STATES as readonly string[]).includes(name);
}
