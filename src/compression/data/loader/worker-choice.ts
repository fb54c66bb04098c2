/**
 * Chooses the number of workers while training goes on: measures batches/s without workers, then with as many as the
 * time of a batch asks for, then with twice or half as many, and keeps the fastest. Batches do not depend on it.
 */

export interface WorkerChoice {
  /** To use for the next batch. */
  readonly workers: number;
  /** The measurement is over. */
  readonly isFixed: boolean;
  /** A batch was delivered `waitMs` after it was asked for; the one before it was worked on for `workMs`. */
  observe(waitMs: number, workMs: number): void;
}

/** Batches of a trial that count. */
const MIN_BATCHES = 4;
const MAX_BATCHES = 32;
const MIN_MS = 300;
/** A device that waits for less than this share of the time has what it needs. */
const NEGLIGIBLE_SHARE = 0.03;
/** More workers must bring this much, to outweigh the cores that they take. */
const MIN_GAIN = 1.03;
/** To spare, for batches that take longer than others. */
const HEADROOM = 1.25;

export const fixedChoice = (workers: number): WorkerChoice => ({ workers, isFixed: true, observe: () => undefined });

export function measuredChoice(cores: number): WorkerChoice {
  const rates = new Map<number, number>();
  let trial = newTrial(0);
  let isFixed = false;
  const best = () => [...rates].reduce((a, b) => (b[1] > a[1] * MIN_GAIN ? b : a))[0];
  const proceed = () => {
    rates.set(trial.workers, trial.batches / trial.totalMs);
    const next = nextCount(trial, rates, best(), cores);
    isFixed = next === null;
    trial = newTrial(next ?? best());
  };
  return {
    get workers() {
      return trial.workers;
    },
    get isFixed() {
      return isFixed;
    },
    observe(waitMs, workMs) {
      if (isFixed || trial.skipped++ < trial.toSkip) return;
      trial.batches++;
      trial.waitMs += waitMs;
      trial.totalMs += waitMs + workMs;
      if (trial.batches >= MAX_BATCHES || (trial.batches >= MIN_BATCHES && trial.totalMs >= MIN_MS)) proceed();
    },
  };
}

interface Trial {
  readonly workers: number;
  /** While threads start, and batches come in that were made all at once. */
  readonly toSkip: number;
  skipped: number;
  batches: number;
  waitMs: number;
  totalMs: number;
}

function newTrial(workers: number): Trial {
  return { workers, toSkip: 1 + 2 * workers, skipped: 0, batches: 0, waitMs: 0, totalMs: 0 };
}

/** Null: the choice is made. */
function nextCount(trial: Trial, rates: ReadonlyMap<number, number>, best: number, cores: number): number | null {
  const { workers, waitMs, totalMs } = trial;
  const isEnough = waitMs < NEGLIGIBLE_SHARE * totalMs;
  if (workers === 0) {
    if (isEnough || cores < 1) return null;
    const workMs = Math.max(totalMs - waitMs, waitMs / cores);
    return Math.min(cores, Math.max(1, Math.ceil((HEADROOM * waitMs) / workMs)));
  }
  const candidates = workers === best ? (isEnough ? [] : [Math.min(cores, workers * 2)]) : [];
  const half = Math.floor(best / 2);
  return [...candidates, half].find((count) => count > 0 && !rates.has(count)) ?? null;
}
