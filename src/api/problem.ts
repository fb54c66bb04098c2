/**
 * Renders any error as problem+json (RFC 9457). What is not in the catalogue becomes `internal`, without its message.
 */
import { ERRORS, LatheError, type ErrorCode } from '../errors.ts';
import type { Problem } from '../contracts/api.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** Fastify's own errors and those of its plugins that say more than their status. */
const FASTIFY_CODES: Record<string, { code: ErrorCode; message: string }> = {
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'invalid-request', message: 'The request body is not valid JSON' },
  FST_ERR_CTP_EMPTY_JSON_BODY: { code: 'invalid-request', message: 'The request body is empty; it must be JSON' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'unsupported-media-type',
    message: 'The request body must be of the type application/json',
  },
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'too-large', message: 'The request body is over the size limit' },
  FST_ERR_BAD_URL: { code: 'invalid-request', message: 'The path is not a valid URL' },
};
const BY_STATUS: Record<number, ErrorCode> = {
  400: 'invalid-request',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not-found',
  405: 'method-not-allowed',
  406: 'not-acceptable',
  409: 'conflict',
  413: 'too-large',
  414: 'invalid-request',
  415: 'unsupported-media-type',
  429: 'rate-limited',
  503: 'unavailable',
};

export function toProblem(error: unknown, requestId?: string): Problem {
  const { code, message, errors } = asLatheError(error);
  const { status, title } = ERRORS[code];
  return {
    type: `urn:lathe:error:${code}`,
    title,
    status,
    detail: message,
    code,
    ...(requestId === undefined ? {} : { instance: `urn:lathe:request:${requestId}` }),
    errors: [...errors],
  };
}

export function asLatheError(error: unknown): LatheError {
  if (error instanceof LatheError) return error;
  const { code, statusCode, message, cause } = error as {
    code?: string;
    statusCode?: number;
    message?: string;
    cause?: unknown;
  };
  if (cause instanceof LatheError) return cause;
  const known = code === undefined ? undefined : FASTIFY_CODES[code];
  if (known) return new LatheError(known.code, known.message, [], { cause: error });
  const mapped =
    statusCode === undefined || statusCode >= 500 ? undefined : (BY_STATUS[statusCode] ?? 'invalid-request');
  if (mapped) return new LatheError(mapped, message ?? ERRORS[mapped].title, [], { cause: error });
  return new LatheError('internal', 'The request could not be completed; the logs say more under its id', [], {
    cause: error,
  });
}
