/**
 * Requests through supertest, each answer held against openapi.yaml: known operation and status, body of the declared
 * type and schema.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import * as ajvFormats from 'ajv-formats';
import supertest, { type Response } from 'supertest';
import { parse } from 'yaml';
import { projectRoot } from '../../src/process/entry.ts';

interface Media {
  readonly schema?: object;
}
interface Operation {
  readonly operationId: string;
  readonly responses: Record<string, { readonly content?: Record<string, Media> }>;
}
export interface OpenApiDocument {
  readonly paths: Record<string, Record<string, Operation>>;
}

export interface Call {
  readonly method?: 'get' | 'post' | 'delete' | 'put' | 'head';
  readonly path: string;
  /** `null`: none is sent. */
  readonly key?: string | null;
  readonly headers?: Record<string, string>;
  readonly json?: unknown;
  /** Raw body. */
  readonly body?: Buffer | string;
  /** As the field "file" of multipart/form-data. */
  readonly file?: { readonly name: string; readonly content: Buffer; readonly field?: string };
}

export const DOCUMENT = parse(readFileSync(join(projectRoot, 'openapi.yaml'), 'utf8')) as OpenApiDocument;

export class Witness {
  readonly #url: string;
  readonly #key: string;
  /** `operationId status` of every answer so far. */
  readonly seen: Set<string>;

  constructor(url: string, key: string, seen: Set<string> = new Set()) {
    this.#url = url;
    this.#key = key;
    this.seen = seen;
  }

  async call({ method = 'get', path, key = this.#key, headers = {}, json, body, file }: Call): Promise<Response> {
    let request = supertest(this.#url)[method](path).buffer(true);
    if (key !== null) request = request.set('authorization', `Bearer ${key}`);
    for (const [name, value] of Object.entries(headers)) request = request.set(name, value);
    const response = await (file
      ? request.attach(file.field ?? 'file', file.content, file.name)
      : json !== undefined
        ? request
            .set('content-type', headers['content-type'] ?? 'application/json')
            .send(typeof json === 'string' ? json : JSON.stringify(json))
        : request.send(body));
    if (method !== 'head' && method !== 'put') this.#check(method, path, response);
    return response;
  }

  #check(method: string, path: string, response: Response): void {
    const operation = operationOf(method, path.split('?')[0] as string);
    if (!operation) return;
    const documented = operation.responses[String(response.status)];
    if (!documented)
      throw new Error(
        `${operation.operationId} answered ${response.status}, which openapi.yaml does not name: ${response.text}`,
      );
    this.seen.add(`${operation.operationId} ${response.status}`);
    const type = response.headers['content-type']?.split(';')[0];
    const media = documented.content?.[type ?? ''];
    if (documented.content && !media)
      throw new Error(
        `${operation.operationId} ${response.status} is of the type ${type}; documented: ` +
          Object.keys(documented.content).join(', '),
      );
    if (!media?.schema || !type?.includes('json')) return;
    const validate = validatorOf(media.schema);
    if (!validate(JSON.parse(response.text)))
      throw new Error(
        `${operation.operationId} ${response.status} is not as documented: ` +
          `${JSON.stringify(validate.errors)}\n${response.text.slice(0, 2000)}`,
      );
  }
}

const ajv = new Ajv2020({ strict: false, allErrors: true });
ajvFormats.default.default(ajv);
ajv.addSchema({ ...DOCUMENT, $id: 'http://lathe/openapi' });
const validators = new WeakMap<object, ValidateFunction>();

function validatorOf(schema: object): ValidateFunction {
  const known =
    validators.get(schema) ??
    ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"http://lathe/openapi#/')) as object);
  validators.set(schema, known);
  return known;
}

function operationOf(method: string, path: string): Operation | undefined {
  const fits = (template: string): boolean => new RegExp(`^${template.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path);
  const exact = DOCUMENT.paths[path]?.[method];
  return (
    exact ??
    Object.entries(DOCUMENT.paths).find(([template, methods]) => fits(template) && method in methods)?.[1][method]
  );
}

export function documentedStatuses(): string[] {
  return Object.values(DOCUMENT.paths)
    .flatMap((methods) => Object.values(methods))
    .flatMap(({ operationId, responses }) =>
      Object.keys(responses)
        .filter((status) => status !== 'default')
        .map((status) => `${operationId} ${status}`),
    );
}
