/** Runs a schedule on a virtual clock: how long a batch takes, how busy each part is, what it holds. */
import { elementAt, entryOf } from '../../ir/checked-access.ts';
import { dependencies, inOneOrder, keyOf } from './pass-order.ts';
import type { Pass, Schedule, StageLinks } from './schedule.ts';

export interface SimulationOptions {
  readonly stages: readonly StageLinks[];
  /** Time of a pass, in any one unit. */
  duration(pass: Pass): number;
  /** Time that a value or gradient takes from one part to another; default 0. */
  readonly transfer?: number;
}

export interface Simulation {
  /** From the first pass to the last. */
  readonly makespan: number;
  /** Share of the makespan that the parts compute, on average. */
  readonly utilisation: number;
  /** By part. */
  readonly busy: readonly number[];
  /** By stage, the most micro-batches under way at a time: run forward, gradients not yet done. */
  readonly inFlight: readonly number[];
}

/** @throws Error where passes wait for each other for ever, with the passes that wait */
export function simulate(schedule: Schedule, options: SimulationOptions): Simulation {
  const { stages, duration, transfer = 0 } = options;
  const ends = new Map<string, { at: number; part: number }>();
  const [free, busy] = [schedule.map(() => 0), schedule.map(() => 0)];
  for (const pass of inOneOrder(schedule, stages)) {
    const { part } = elementAt(stages, pass.stage, 'stage');
    const arrivals = dependencies(pass, stages).map((key) => {
      const end = entryOf(ends, key, 'end of');
      return end.at + (end.part === part ? 0 : transfer);
    });
    const time = duration(pass);
    const at = Math.max(elementAt(free, part, 'part'), ...arrivals) + time;
    ends.set(keyOf(pass), { at, part });
    free[part] = at;
    busy[part] = elementAt(busy, part, 'part') + time;
  }
  const makespan = Math.max(0, ...free);
  const utilisation = busy.reduce((a, b) => a + b, 0) / (schedule.length * makespan);
  return { makespan, utilisation, busy, inFlight: stages.map((_, stage) => mostInFlight(schedule.flat(), stage)) };
}

/** A part runs its passes in order, so that no clock is needed. */
function mostInFlight(passes: readonly Pass[], stage: number): number {
  const own = passes.filter((pass) => pass.stage === stage);
  const last = own.some(({ kind }) => kind === 'weights') ? 'weights' : 'backward';
  let [held, most] = [0, 0];
  for (const { kind } of own) {
    if (kind === 'forward') most = Math.max(most, ++held);
    if (kind === last) held--;
  }
  return most;
}
