/** Waiting between tries after a lost connection. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ProblemError } from './problem-error.ts';

const FIRST_WAIT_MS = 250;
const MAX_WAIT_MS = 5000;

/** Counts failures in a row. What the service refuses or the file system fails at is never tried again. */
export class Retries {
  readonly #limit: number;
  readonly #signal: AbortSignal | undefined;
  #failures = 0;

  constructor(limit: number, signal?: AbortSignal) {
    this.#limit = limit;
    this.#signal = signal;
  }

  /** Something arrived: the count begins anew. */
  progressed(): void {
    this.#failures = 0;
  }

  /** @throws the error itself where another try makes no sense */
  failed(error: unknown): void {
    const refused = error instanceof ProblemError && error.status < 500;
    const ofFiles = error instanceof Error && 'syscall' in error;
    if (refused || ofFiles || this.#signal?.aborted || ++this.#failures > this.#limit) throw error;
  }

  /** Twice as long after each failure, at most `MAX_WAIT_MS`. */
  async wait(): Promise<void> {
    const milliseconds = Math.min(FIRST_WAIT_MS * 2 ** this.#failures, MAX_WAIT_MS);
    await sleep(milliseconds, undefined, { signal: this.#signal });
  }
}
