/**
 * The service over HTTP: `api` has every operation of openapi.yaml, typed; what a plain request does not do (streams,
 * lost connections) is a method of its own.
 */
import createClient, { type Client, type Middleware } from 'openapi-fetch';
import { download, type DownloadOptions } from './download.ts';
import { followEvents, type EventsOptions, type JobEvent } from './events.ts';
import type { components, paths } from './generated/api.ts';
import { problemOf } from './problem-error.ts';
import { uploadRequest, type UploadOptions } from './upload.ts';

export type Schemas = components['schemas'];

export interface Connection {
  /** Of the service, such as "http://127.0.0.1:8080". */
  readonly url: string;
  readonly apiKey: string;
}

export class LatheClient {
  /** Every operation. Resolves with an answer that is a success, throws ProblemError for any other: see `unwrap`. */
  readonly api: Client<paths>;

  constructor({ url, apiKey }: Connection) {
    this.api = createClient<paths>({ baseUrl: url, headers: { authorization: `Bearer ${apiKey}` } });
    this.api.use(throwing(url));
  }

  /** Streams a model's file to the service, which parses and checks it. */
  async uploadModel(file: string, options: UploadOptions = {}): Promise<Schemas['Model']> {
    return unwrap(this.api.POST('/v1/models', await uploadRequest(file, options)));
  }

  async uploadDataset(file: string, options: UploadOptions = {}): Promise<Schemas['Dataset']> {
    return unwrap(this.api.POST('/v1/datasets', await uploadRequest(file, options)));
  }

  /** Under the same idempotency key a second submission gives the first one's job. */
  async submitJob(
    request: Schemas['JobRequest'],
    { idempotencyKey }: { readonly idempotencyKey?: string } = {},
  ): Promise<Schemas['Job']> {
    const init = { body: request, params: { header: { 'idempotency-key': idempotencyKey } } };
    return (await unwrap(this.api.POST('/v1/jobs', init))) as Schemas['Job'];
  }

  /** Downloads to `file`, which is whole or absent: a broken download is resumed, the sha-256 checked. */
  async download(
    { id, sha256 }: { readonly id: string; readonly sha256: string },
    file: string,
    options: DownloadOptions = {},
  ): Promise<void> {
    const request = async (from: number) => {
      const header = from > 0 ? { range: `bytes=${from}-` } : {};
      const init = { params: { path: { id }, header }, parseAs: 'stream', signal: options.signal } as const;
      return (await this.api.GET('/v1/artifacts/{id}/content', init)).response;
    };
    await download({ file, sha256, request }, options);
  }

  /** A job's events, from the first on or after `lastEventId`; ends after the job's last one. */
  events(jobId: string, options: EventsOptions = {}): AsyncGenerator<JobEvent, void, undefined> {
    const request = async (lastEventId: string | undefined) => {
      const params = { path: { id: jobId }, header: { 'last-event-id': lastEventId } };
      const init = { params, headers: { accept: 'text/event-stream' }, signal: options.signal };
      return (await this.api.GET('/v1/jobs/{id}/events', { ...init, parseAs: 'stream' })).response;
    };
    return followEvents(request, options);
  }
}

/** The data of an answer: `await unwrap(client.api.GET('/v1/jobs/{id}', { params: { path: { id } } }))`. */
export async function unwrap<A extends { data?: unknown }>(answer: Promise<A>): Promise<Exclude<A['data'], undefined>> {
  return (await answer).data as Exclude<A['data'], undefined>;
}

function throwing(url: string): Middleware {
  return {
    onError: ({ error, request }) => {
      if (request.signal.aborted) return;
      const { cause } = error as { cause?: unknown };
      return new Error(`No answer from ${url}: ${cause instanceof Error ? cause.message : String(error)}`, {
        cause: error,
      });
    },
    onResponse: async ({ response }) => {
      if (!response.ok) throw await problemOf(response);
    },
  };
}
