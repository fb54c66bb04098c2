/**
 * Files in request bodies: the field "file" of multipart/form-data, or the raw body of any other type. Nothing is held
 * in memory.
 */
import multipart, { type MultipartFile } from '@fastify/multipart';
import type { FastifyRequest, FastifySchemaCompiler } from 'fastify';
import type { Readable } from 'node:stream';
import { Type, type TSchema } from 'typebox';
import { LatheError } from '../errors.ts';
import { storableName } from './names.ts';
import type { App } from './types.ts';
import { validatorCompiler } from './validation.ts';

export const UPLOAD_NAME = Type.Optional(
  Type.String({ minLength: 1, maxLength: 200, description: "defaults to the file's name, where one is sent" }),
);

const BYTES = { type: 'string', format: 'binary' } as const;

/** For the document only: bodies are read by the handlers. */
export const UPLOAD_BODY = {
  body: {
    description: 'the file: field "file" of multipart/form-data, or the raw body of any other type',
    content: {
      'application/octet-stream': { schema: BYTES },
      'multipart/form-data': { schema: { type: 'object', required: ['file'], properties: { file: BYTES } } },
    },
  },
};

export const validateAllButBody: FastifySchemaCompiler<TSchema> = (route) =>
  route.httpPart === 'body' ? (value: unknown) => ({ value }) : validatorCompiler(route);

export interface UploadedFile {
  readonly content: Readable;
  /** As the client named it. */
  readonly name: string | null;
  readonly declaredBytes: number | null;
}

/** How long a client may keep sending a refused file; it reads the answer only afterwards. */
const DRAIN_TIMEOUT_MS = 30_000;

/** Within a scope of its own: no body is parsed there. */
export async function addUploadParsers(app: App): Promise<void> {
  app.removeAllContentTypeParsers();
  await app.register(multipart, {
    limits: { files: 1, fields: 20, fieldSize: 10_000, fileSize: Number.MAX_SAFE_INTEGER, headerPairs: 100 },
    throwFileSizeLimit: false,
  });
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
}

/**
 * Passes the file to `take`. If that fails, the rest of the body is read and dropped: closing the connection at once
 * would lose the answer.
 */
export async function receiveUpload<T>(request: FastifyRequest, take: (file: UploadedFile) => Promise<T>): Promise<T> {
  try {
    const file = request.isMultipart() ? await multipartFile(request) : rawFile(request);
    return await take(file);
  } catch (error) {
    drain(request);
    throw error;
  }
}

function rawFile({ raw, headers }: FastifyRequest): UploadedFile {
  const length = Number(headers['content-length']);
  return {
    content: raw,
    name: null,
    declaredBytes: headers['content-length'] !== undefined && Number.isSafeInteger(length) ? length : null,
  };
}

async function multipartFile(request: FastifyRequest): Promise<UploadedFile> {
  let part: MultipartFile | undefined;
  try {
    part = await request.file();
  } catch (error) {
    throw new LatheError(
      'invalid-request',
      `The multipart body cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      [{ path: 'file', message: 'not readable' }],
      { cause: error },
    );
  }
  if (part?.fieldname !== 'file') {
    part?.file.resume();
    throw new LatheError('invalid-request', 'The multipart body has no field "file" with a file', [
      { path: 'file', message: part ? `the file came in the field "${part.fieldname}"` : 'missing' },
    ]);
  }
  return { content: part.file, name: storableName(part.filename), declaredBytes: null };
}

/**
 * Keeps the connection open until the body has ended: Node closes one with "connection: close" as soon as the answer is
 * sent, and the client sees a broken pipe.
 */
function drain({ raw }: FastifyRequest): void {
  if (raw.complete || raw.destroyed) return;
  raw.unpipe();
  raw.resume();
  const timer = setTimeout(() => raw.destroy(), DRAIN_TIMEOUT_MS);
  raw.once('close', () => clearTimeout(timer));
}
