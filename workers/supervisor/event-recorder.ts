/**
 * Writes the events of one job to the database, in order and in batches; of consecutive progress events only the last.
 */
import type { JobEvent } from '../../src/jobs/ports/events.ts';

const FLUSH_INTERVAL_MS = 250;
const MAX_BATCH = 200;

export class EventRecorder {
  readonly #write: (events: readonly JobEvent[]) => Promise<void>;
  #pending: JobEvent[] = [];
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(write: (events: readonly JobEvent[]) => Promise<void>) {
    this.#write = write;
  }

  add(event: JobEvent): void {
    const last = this.#pending.at(-1);
    if (event.type === 'progress' && last?.type === 'progress') this.#pending[this.#pending.length - 1] = event;
    else this.#pending.push(event);
    this.#timer ??= setTimeout(() => void this.flush(), FLUSH_INTERVAL_MS);
  }

  /** Everything added so far is written when this resolves. */
  flush(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const events = this.#pending;
    this.#pending = [];
    for (let at = 0; at < events.length; at += MAX_BATCH) {
      const batch = events.slice(at, at + MAX_BATCH);
      this.#writing = this.#writing.then(() => this.#write(batch));
    }
    return this.#writing;
  }
}
