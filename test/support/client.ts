/**
 * The client for requests that its types forbid or that name their own answer: paths as text, bodies of any form.
 */
import { LatheClient, unwrap, type UploadOptions } from '../../clients/typescript/src/index.ts';

type Query = Record<string, string | undefined>;

/** A request of any path, in place of the typed ones. */
type AnyRequest = (method: string, path: string, init: object) => Promise<{ data?: unknown }>;

export class TestClient extends LatheClient {
  get<T>(path: string, query: Query = {}): Promise<T> {
    return this.#request('get', path, { params: { query } }) as Promise<T>;
  }

  post<T>(path: string, body?: unknown, { headers = {} }: { headers?: Record<string, string> } = {}): Promise<T> {
    return this.#request('post', path, { body, headers }) as Promise<T>;
  }

  upload<T>(path: '/v1/models' | '/v1/datasets', file: string, options: UploadOptions = {}): Promise<T> {
    return (path === '/v1/models' ? this.uploadModel(file, options) : this.uploadDataset(file, options)) as Promise<T>;
  }

  #request(method: string, path: string, init: object): Promise<unknown> {
    return unwrap((this.api.request as AnyRequest)(method, path, init));
  }
}
