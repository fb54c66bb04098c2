/** A job's events (server-sent), across lost connections. */
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { Retries } from './retry.ts';

export interface JobEvent {
  readonly id: string | undefined;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface EventsOptions {
  /** Go on after the event of this id; default: from the first on. */
  readonly lastEventId?: string;
  /** Lost connections in a row, without any event between, before it is given up; default 10. */
  readonly retries?: number;
  readonly signal?: AbortSignal;
}

/** Requests the events after one; the body is null where the job has ended and there are none. */
export type RequestEvents = (lastEventId: string | undefined) => Promise<Response>;

/** Types of events after which nothing happens to a job. */
export const LAST_EVENTS: ReadonlySet<string> = new Set(['succeeded', 'failed', 'canceled', 'expired']);

/** Ends after the job's last event; a lost connection is taken up again where it broke (Last-Event-ID). */
export async function* followEvents(
  request: RequestEvents,
  { lastEventId, retries = 10, signal }: EventsOptions,
): AsyncGenerator<JobEvent, void, undefined> {
  const tries = new Retries(retries, signal);
  let lastId = lastEventId;
  for (;;) {
    try {
      const response = await request(lastId);
      if (!response.body) return;
      for await (const event of parse(response.body)) {
        tries.progressed();
        lastId = event.id ?? lastId;
        yield event;
        if (LAST_EVENTS.has(event.type)) return;
      }
    } catch (error) {
      tries.failed(error);
    }
    await tries.wait();
  }
}

async function* parse(body: ReadableStream<Uint8Array>): AsyncGenerator<JobEvent> {
  const events = body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  for await (const { id, event, data } of events) {
    yield { id, type: event ?? 'message', data: JSON.parse(data) as Record<string, unknown> };
  }
}
