/** Jobs over HTTP, as flow tests see them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isEnded } from '../../src/contracts/job-states.ts';
import { ProblemError, type JobEvent } from '../../clients/typescript/src/index.ts';
import type { TestClient } from './client.ts';

/** Longer than anything takes even on a busy machine. */
const HANG_MS = 300_000;

export interface JobView {
  readonly id: string;
  readonly state: string;
  readonly progress: number;
  readonly artifacts: readonly {
    readonly id: string;
    readonly name: string;
    readonly format: string;
    readonly sizeBytes: number;
    readonly sha256: string;
    readonly step: number | null;
  }[];
  readonly recommended: string | null;
  readonly steps: readonly { readonly technique: string; readonly state: string }[];
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
}

/** Transform of MNIST for examples/digit_cnn.onnx. */
export const MNIST_TRANSFORM = { scale: 1 / 255, mean: [0.1307], std: [0.3081] };

export async function waitForState(
  client: TestClient,
  id: string,
  wanted: (state: string) => boolean,
  milliseconds = HANG_MS,
): Promise<JobView> {
  const until = Date.now() + milliseconds;
  for (;;) {
    const job = await patiently(() => client.get<JobView>(`/v1/jobs/${id}`));
    if (wanted(job.state)) return job;
    if (Date.now() > until)
      throw new Error(`${id} is ${job.state} (${Math.round(job.progress * 100)} %) after ${milliseconds} ms`);
    await sleep(50);
  }
}

export const waitForEnd = (client: TestClient, id: string) => waitForState(client, id, isEnded);

/**
 * Repeats a request while the API is away (restarting after a kill). Safe for reads, and for writes under an
 * idempotency key.
 */
export async function patiently<T>(request: () => Promise<T>, milliseconds = HANG_MS): Promise<T> {
  const until = Date.now() + milliseconds;
  for (;;) {
    try {
      return await request();
    } catch (error) {
      const refused = error instanceof ProblemError && error.status < 500;
      if (refused || Date.now() > until) throw error;
      await sleep(100);
    }
  }
}

/** All stored events of an ended job. */
export async function allEvents(client: TestClient, id: string): Promise<JobEvent[]> {
  const events: JobEvent[] = [];
  for await (const event of client.events(id)) events.push(event);
  return events;
}

/** The problem in the answer to a request. */
export async function problemOf(request: Promise<unknown>): Promise<ProblemError> {
  try {
    await request;
  } catch (error) {
    if (error instanceof ProblemError) return error;
    throw error;
  }
  throw new Error('The request was accepted');
}
