/** Latency of several models, run in turns so that other load on the machine affects all of them alike. */
import type { Latency } from '../../contracts/report.ts';
import { processor } from './processor.ts';
import { RUNTIME, type Feeds, type PreparedRun, type Runtime } from './session.ts';

export interface LatencyOptions {
  readonly batch: number;
  readonly threads: number;
  readonly signal?: AbortSignal | undefined;
  /** Time limit for the measured rounds of all models together; default 1.5 s per model. */
  readonly budgetMs?: number | undefined;
}

const DEFAULT_BUDGET_MS = 1500;
const WARM_UP_RUNS = 5;
/** A heavy model is warm after one run. */
const MAX_WARM_UP_MS = 500;
const MIN_RUNS = 10;
const MAX_RUNS = 1000;
/** Least runs and time before medians count as settled: fewer say little about p90, or lie within one disturbance. */
const MIN_SETTLED_RUNS = 50;
const MIN_SETTLED_MS = 200;
const CHECK_EVERY_RUNS = 10;
/** Half width of the medians' confidence interval, relative to the median. */
const SETTLED_WITHIN = 0.01;

/**
 * Each round runs every model once, in an order that rotates. Stops when the budget is spent, or before it when every
 * median is known to 1 %. Results in the order of `runtimes`.
 */
export async function measureLatency(
  runtimes: readonly Runtime[],
  feeds: Feeds,
  options: LatencyOptions,
): Promise<Latency[]> {
  const { signal, budgetMs = DEFAULT_BUDGET_MS * runtimes.length } = options;
  const runs = runtimes.map((runtime): TimedRun => ({ prepared: runtime.prepare(feeds), times: [] }));
  await warmUp(
    runs.map(({ prepared }) => prepared),
    signal,
  );
  const start = performance.now();
  for (let round = 0; round < MAX_RUNS; round++) {
    const spentMs = performance.now() - start;
    if (round >= MIN_RUNS && spentMs > budgetMs) break;
    const isEnough = round >= MIN_SETTLED_RUNS && spentMs >= MIN_SETTLED_MS * runs.length;
    if (isEnough && round % CHECK_EVERY_RUNS === 0 && runs.every(({ times }) => isSettled(times))) break;
    const first = round % runs.length;
    for (const { prepared, times } of [...runs.slice(first), ...runs.slice(0, first)]) {
      signal?.throwIfAborted();
      times.push(await timeOf(prepared));
    }
  }
  return runs.map(({ times }) => latencyOf(times, options));
}

interface TimedRun {
  readonly prepared: PreparedRun;
  /** Milliseconds. */
  readonly times: number[];
}

async function warmUp(runs: readonly PreparedRun[], signal: AbortSignal | undefined): Promise<void> {
  for (const run of runs) {
    const start = performance.now();
    for (let i = 0; i < WARM_UP_RUNS && (i === 0 || performance.now() - start < MAX_WARM_UP_MS); i++) {
      signal?.throwIfAborted();
      await run.execute();
    }
  }
}

async function timeOf(run: PreparedRun): Promise<number> {
  const before = performance.now();
  await run.execute();
  return performance.now() - before;
}

function latencyOf(times: readonly number[], { batch, threads }: LatencyOptions): Latency {
  const { name, instructionSets } = processor();
  return {
    median: quantile(times, 0.5),
    p90: quantile(times, 0.9),
    batch,
    threads,
    runs: times.length,
    runtime: RUNTIME,
    processor: name,
    instructionSets: [...instructionSets],
    simulated: false,
  };
}

/**
 * Whether the median is known to 1 % with 95 % confidence: by order statistics, whatever the distribution (David and
 * Nagaraja, Order Statistics, 7.1). Its bounds are the values of ranks n/2 -+ 0.98 sqrt(n).
 */
export function isSettled(times: readonly number[]): boolean {
  const half = 0.98 / Math.sqrt(times.length);
  const width = quantile(times, Math.min(1, 0.5 + half)) - quantile(times, Math.max(0, 0.5 - half));
  return width <= 2 * SETTLED_WITHIN * quantile(times, 0.5);
}

/** Quantile with linear interpolation between order statistics. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = q * (sorted.length - 1);
  const index = Math.floor(place);
  const low = sorted[index] ?? NaN; // no values, no quantile
  const high = sorted[Math.ceil(place)] ?? low;
  return low + (high - low) * (place - index);
}
