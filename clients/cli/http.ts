/**
 * Requests to the service: JSON in and out, streamed uploads and downloads, and an event stream that survives lost
 * connections.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import type { ReadableStream as WebStream } from 'node:stream/web';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { isEnded } from '../../src/contracts/job-states.ts';
import type { Connection } from './connection.ts';

/** An answer of the service that says no: problem+json (RFC 9457). */
export class ProblemError extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: readonly { path: string; message: string }[];
  constructor(
    status: number,
    problem: { code?: string; detail?: string; title?: string; errors?: { path: string; message: string }[] },
  ) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    this.name = 'ProblemError';
    this.status = status;
    this.code = problem.code ?? 'unknown';
    this.errors = problem.errors ?? [];
  }
}

export interface ServerEvent {
  readonly id: string | undefined;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

type Query = Record<string, string | undefined>;

export class Client {
  readonly #connection: Connection;
  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async get<T>(path: string, query: Query = {}): Promise<T> {
    return (await this.#request('GET', withQuery(path, query))).json() as Promise<T>;
  }

  async post<T>(
    path: string,
    body?: unknown,
    options: { query?: Query; headers?: Record<string, string> } = {},
  ): Promise<T> {
    const headers: Record<string, string> = { ...options.headers };
    if (body !== undefined) headers['content-type'] = 'application/json';
    const response = await this.#request('POST', withQuery(path, options.query ?? {}), {
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return response.json() as Promise<T>;
  }

  /** Streams a file as the raw body of a POST. `onProgress` is told the bytes sent so far. */
  async upload<T>(
    path: string,
    file: string,
    query: Query = {},
    onProgress: (sent: number, total: number) => void = () => {},
  ): Promise<T> {
    const { size } = await stat(file);
    let sent = 0;
    const source = createReadStream(file);
    source.on('data', (chunk) => onProgress((sent += chunk.length), size));
    const response = await this.#request('POST', withQuery(path, { name: basename(file), ...query }), {
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
      body: Readable.toWeb(source) as ReadableStream,
      duplex: 'half',
    });
    return response.json() as Promise<T>;
  }

  /** Downloads to a temporary name beside `file`, checks the sha-256, then renames: `file` is whole or absent. */
  async download(path: string, file: string, sha256: string): Promise<void> {
    const response = await this.#request('GET', path);
    const temporary = `${file}.part`;
    const hash = createHash('sha256');
    try {
      const body = Readable.fromWeb(response.body as WebStream);
      body.on('data', (chunk: Buffer) => hash.update(chunk));
      await pipeline(body, createWriteStream(temporary));
      const actual = hash.digest('hex');
      if (actual !== sha256) throw new Error(`${file}: the download's sha-256 is ${actual}, not ${sha256}`);
      await rename(temporary, file);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /**
   * A job's events from the first on, ending after the job's last one. A lost connection is taken up again where it
   * broke (Last-Event-ID), up to `retries` times without any event between.
   */
  async *events(jobId: string, retries = 10): AsyncGenerator<ServerEvent> {
    let lastId: string | undefined;
    let failures = 0;
    for (;;) {
      try {
        for await (const event of this.#eventStream(jobId, lastId)) {
          failures = 0;
          lastId = event.id ?? lastId;
          yield event;
          if (isEnded(event.type)) return;
        }
      } catch (error) {
        if (error instanceof ProblemError && error.status < 500) throw error;
        if (++failures > retries) throw error;
      }
      await sleep(Math.min(250 * 2 ** failures, 5000));
    }
  }

  async *#eventStream(jobId: string, lastId: string | undefined): AsyncGenerator<ServerEvent> {
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (lastId !== undefined) headers['last-event-id'] = lastId;
    const response = await this.#request('GET', `/v1/jobs/${encodeURIComponent(jobId)}/events`, { headers });
    if (!response.body) return;
    const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
    for await (const event of events) {
      yield { id: event.id, type: event.event ?? 'message', data: JSON.parse(event.data) as Record<string, unknown> };
    }
  }

  async #request(method: string, path: string, init: RequestInit & { duplex?: 'half' } = {}): Promise<Response> {
    const headers = {
      authorization: `Bearer ${this.#connection.apiKey}`,
      ...(init.headers as Record<string, string> | undefined),
    };
    let response: Response;
    try {
      response = await fetch(this.#connection.url + path, { ...init, method, headers });
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      throw new Error(`No answer from ${this.#connection.url}: ${cause}`, { cause: error });
    }
    if (response.ok) return response;
    throw new ProblemError(response.status, await problemOf(response));
  }
}

async function problemOf(response: Response): Promise<Record<string, never>> {
  const text = await response.text();
  try {
    return JSON.parse(text) as Record<string, never>;
  } catch {
    return { detail: text.slice(0, 500) } as unknown as Record<string, never>;
  }
}

function withQuery(path: string, query: Query): string {
  const entries = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return entries.length === 0 ? path : `${path}?${new URLSearchParams(entries)}`;
}
