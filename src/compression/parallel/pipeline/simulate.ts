/** Runs a schedule on a virtual clock: how long a batch takes, how busy each part is, what it holds. */
import { elementAt } from '../../ir/checked-access.ts';
import { dependencies, keyOf } from './pass-order.ts';
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
  const ends = new Map<string, { at: number; part: number }>();
  const next = schedule.map(() => 0);
  const free = schedule.map(() => 0);
  const busy = schedule.map(() => 0);
  const run = (part: number): boolean => {
    const pass = schedule[part]?.[next[part] ?? 0];
    if (!pass) return false;
    const needed = dependencies(pass, options.stages).map((key) => ends.get(key));
    if (needed.includes(undefined)) return false;
    const arrivals = needed.map((end) => (end ? end.at + (end.part === part ? 0 : (options.transfer ?? 0)) : 0));
    const time = options.duration(pass);
    const at = Math.max(elementAt(free, part, 'part'), ...arrivals) + time;
    ends.set(keyOf(pass), { at, part });
    free[part] = at;
    busy[part] = elementAt(busy, part, 'part') + time;
    next[part] = elementAt(next, part, 'part') + 1;
    return true;
  };
  while (schedule.some((_, part) => run(part)));
  const waiting = schedule.flatMap((passes, part) => passes[next[part] ?? 0] ?? []);
  if (waiting.length > 0) throw new Error(`The schedule stands still: ${waiting.map(keyOf).join(', ')} wait for ever`);
  const makespan = Math.max(0, ...free);
  const utilisation = busy.reduce((a, b) => a + b, 0) / (schedule.length * makespan);
  return {
    makespan,
    utilisation,
    busy,
    inFlight: options.stages.map((_, stage) => mostInFlight(schedule.flat(), stage)),
  };
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
