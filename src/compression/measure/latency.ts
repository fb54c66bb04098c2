/** Latency of several models, run by turns so that whatever else the machine does hits all of them alike. */
import type { Latency } from '../../contracts/report.ts';
import { processor } from './processor.ts';
import { RUNTIME, type Feeds, type Runtime } from './session.ts';

export interface LatencyOptions {
  readonly batch: number;
  readonly threads: number;
  readonly signal?: AbortSignal | undefined;
  /** Time spent on the measured rounds, all models together; default 1.5 s for each. */
  readonly budgetMs?: number | undefined;
}

const WARM_UP_RUNS = 5;
const LEAST_RUNS = 10;
const MOST_RUNS = 1000;

/** Each round runs every model once, in an order that rotates. Results in the order of `runtimes`. */
export async function measureLatency(
  runtimes: readonly Runtime[],
  feeds: Feeds,
  options: LatencyOptions,
): Promise<Latency[]> {
  const { signal, budgetMs = 1500 * runtimes.length } = options;
  const runs = runtimes.map((runtime) => runtime.prepare(feeds));
  const times = runs.map((): number[] => []);
  for (let round = 0; round < WARM_UP_RUNS; round++) for (const run of runs) await run.execute();
  const start = performance.now();
  for (let round = 0; round < MOST_RUNS; round++) {
    if (round >= LEAST_RUNS && performance.now() - start > budgetMs) break;
    for (let i = 0; i < runs.length; i++) {
      signal?.throwIfAborted();
      const at = (i + round) % runs.length;
      const before = performance.now();
      await runs[at]!.execute();
      times[at]!.push(performance.now() - before);
    }
  }
  const { name, instructionSets } = processor();
  return times.map((list) => ({
    median: quantile(list, 0.5),
    p90: quantile(list, 0.9),
    batch: options.batch,
    threads: options.threads,
    runs: list.length,
    runtime: RUNTIME,
    processor: name,
    instructionSets: [...instructionSets],
    simulated: false,
  }));
}

/** Quantile with linear interpolation between order statistics. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = q * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.ceil(place);
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (place - low);
}
