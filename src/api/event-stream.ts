/** Server-sent events of one job to one client. */
import type { ServerResponse } from 'node:http';
import { isEnded } from '../contracts/job-states.ts';
import type { StoredEvent } from '../jobs/ports/api-side.ts';
import type { ChangeFeed } from '../jobs/ports/change-feed.ts';

export interface EventSource {
  readonly jobId: string;
  /** Number of the last event that the client has. */
  readonly after: number;
  events(after: number, limit: number): Promise<StoredEvent[]>;
  readonly feed: ChangeFeed;
}

const BATCH_SIZE = 500;
/** Wake-ups may get lost, so the events are also polled. */
const POLL_INTERVAL_MS = 2000;
/** Comments that keep proxies from closing a quiet connection. */
const HEARTBEAT_INTERVAL_MS = 15_000;
const RETRY_MS = 1000;

export class EventStream {
  readonly #out: ServerResponse;
  readonly #source: EventSource;
  #ended = false;
  #wake: () => void = () => undefined;
  #woken = false;

  constructor(out: ServerResponse, source: EventSource) {
    this.#out = out;
    this.#source = source;
  }

  /** Ends the stream from this side; the client reconnects and continues where it stopped. */
  end(): void {
    this.#ended = true;
    this.#signal();
  }

  /** Resolves when the stream has ended. */
  async run(headers: Record<string, string>): Promise<void> {
    const unsubscribe = this.#source.feed.onEvent(this.#source.jobId, () => this.#signal());
    this.#out.once('close', () => this.end());
    this.#out.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      connection: 'keep-alive',
    });
    try {
      await this.#write(`retry: ${RETRY_MS}\n\n`);
      await this.#follow();
    } finally {
      unsubscribe();
      this.#out.end();
    }
  }

  async #follow(): Promise<void> {
    let after = this.#source.after;
    let wroteAt = Date.now();
    while (!this.#ended) {
      this.#woken = false;
      const events = await this.#source.events(after, BATCH_SIZE);
      for (const event of events) {
        await this.#write(rendered(event));
        after = event.seq;
        wroteAt = Date.now();
        if (isEnded(event.type)) return;
      }
      if (events.length === BATCH_SIZE) continue;
      if (Date.now() - wroteAt >= HEARTBEAT_INTERVAL_MS) {
        await this.#write(': still here\n\n');
        wroteAt = Date.now();
      }
      await this.#pause();
    }
  }

  /** Resolves when something was written, or after a while. */
  #pause(): Promise<void> {
    if (this.#woken || this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, POLL_INTERVAL_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #signal(): void {
    this.#woken = true;
    this.#wake();
  }

  /** Waits for a slow client: events stay in the database meanwhile, not in memory. */
  #write(text: string): Promise<void> {
    if (this.#ended || this.#out.write(text)) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#out.off('drain', done);
        this.#out.off('close', done);
        resolve();
      };
      this.#out.once('drain', done);
      this.#out.once('close', done);
    });
  }
}

/** JSON has no line breaks of its own, so the data is one line. */
function rendered({ seq, type, data, createdAt }: StoredEvent): string {
  return `id: ${seq}\nevent: ${type}\ndata: ${JSON.stringify({ ...data, at: createdAt.toISOString() })}\n\n`;
}
