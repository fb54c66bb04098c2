import { expect, test } from 'vitest';
import { ENDED_STATES, isEnded, JOB_STATES, type JobState } from '../contracts/job-states.ts';
import { JOB_TRANSITIONS, nextState, statesBefore } from './states.ts';

test('nothing happens to a job that has ended', () => {
  for (const state of ENDED_STATES)
    for (const transition of JOB_TRANSITIONS) expect(nextState(state, transition)).toBeNull();
});

test('from each state that is no end, an end can be reached', () => {
  for (const start of JOB_STATES) {
    const reached = new Set<JobState>([start]);
    for (const state of reached)
      for (const transition of JOB_TRANSITIONS) {
        const next = nextState(state, transition);
        if (next) reached.add(next);
      }
    expect([...reached].some(isEnded)).toBe(true);
  }
});

test('a job that is to be canceled ends canceled whatever its worker does', () => {
  for (const transition of ['succeed', 'fail', 'release', 'lose', 'give-up', 'confirm'] as const)
    expect(nextState('canceling', transition)).toBe('canceled');
});

test('only a queued job is claimed or expires', () => {
  expect(statesBefore('claim')).toEqual(['queued']);
  expect(statesBefore('expire')).toEqual(['queued']);
});
