/**
 * A contender is a process that trains one network at a time: it reads lines {"network": name, "seconds": s}, or with
 * "steps": n for as many steps instead (processes that train together), and answers each with {"msPerStep": median, "steps": n}. The first line it writes is {"version": text}. Contenders take
 * turns; those that wait use no CPU.
 */
import { createInterface } from 'node:readline';

export const BATCH_SIZE = 128;
export const LEARNING_RATE = 0.01;
export const MOMENTUM = 0.9;
export const WARM_UP_STEPS = 12;

export interface Request {
  readonly network: string;
  readonly seconds: number;
  readonly steps?: number;
}
export interface Answer {
  readonly msPerStep: number;
  readonly steps: number;
}

/** Serves requests; `prepare` makes a network's step, which is kept for the next request. */
export async function serve(
  version: string,
  prepare: (network: string) => Promise<() => Promise<void>>,
): Promise<void> {
  const steps = new Map<string, () => Promise<void>>();
  say({ version });
  for await (const line of createInterface({ input: process.stdin })) {
    const { network, seconds, steps: count } = JSON.parse(line) as Request;
    let step = steps.get(network);
    if (!step) {
      steps.set(network, (step = await prepare(network)));
      for (let i = 0; i < WARM_UP_STEPS; i++) await step();
    }
    say(await time(step, seconds, count));
  }
}

async function time(step: () => Promise<void>, seconds: number, count?: number): Promise<Answer> {
  const durations: number[] = [];
  const end = performance.now() + seconds * 1000;
  const isDone = () => (count ? durations.length >= count : performance.now() >= end && durations.length >= 5);
  while (!isDone()) {
    const start = performance.now();
    await step();
    durations.push(performance.now() - start);
  }
  durations.sort((a, b) => a - b);
  return { msPerStep: durations[durations.length >> 1]!, steps: durations.length };
}

function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
