/**
 * The catalogue of errors that users can meet. Engine code throws `LatheError` with a code and says which node,
 * technique or field is in the way; only the API knows HTTP (it renders `status` as RFC 9457 problem+json).
 */
export const ERRORS = {
  unauthorized: { status: 401, title: 'No valid API key was given', retryable: false },
  forbidden: { status: 403, title: 'This key may not do that', retryable: false },
  'not-found': { status: 404, title: 'There is no such resource', retryable: false },
  'invalid-request': { status: 400, title: 'The request is not valid', retryable: false },
  'method-not-allowed': { status: 405, title: 'The resource does not know this method', retryable: false },
  'not-acceptable': { status: 406, title: 'There is no answer of a type that the request accepts', retryable: false },
  'unsupported-media-type': {
    status: 415,
    title: 'The request body is of a type that is not read here',
    retryable: false,
  },
  'unsupported-format': { status: 415, title: 'The file is of a format that is not supported', retryable: false },
  'malformed-model': { status: 422, title: 'The model file is damaged or contradicts itself', retryable: false },
  'malformed-dataset': { status: 422, title: 'The dataset file is damaged or contradicts itself', retryable: false },
  'unsupported-operator': {
    status: 422,
    title: 'The model holds an operator that this step cannot handle',
    retryable: false,
  },
  'model-not-trainable': { status: 422, title: 'The model cannot be trained', retryable: false },
  'shape-mismatch': { status: 422, title: 'Shapes of model and data do not fit', retryable: false },
  'dataset-required': { status: 422, title: 'This technique needs a dataset', retryable: false },
  'too-large': { status: 413, title: 'The upload is over a size limit', retryable: false },
  'quota-exceeded': { status: 429, title: 'A quota is used up', retryable: true },
  'rate-limited': { status: 429, title: 'Too many requests', retryable: true },
  conflict: { status: 409, title: 'The resource is in a state that does not allow this', retryable: false },
  'idempotency-mismatch': { status: 422, title: 'The Idempotency-Key was used with another request', retryable: false },
  'out-of-memory': { status: 500, title: 'The job needed more memory than its limit', retryable: false },
  'deadline-exceeded': { status: 504, title: 'A time limit was reached', retryable: true },
  diverged: { status: 500, title: 'Training diverged', retryable: false },
  'worker-lost': { status: 500, title: 'The worker died more often than a job is retried', retryable: true },
  'range-not-satisfiable': {
    status: 416,
    title: 'The requested byte range lies outside the artifact',
    retryable: false,
  },
  unavailable: { status: 503, title: 'The service is not ready', retryable: true },
  internal: { status: 500, title: 'Something went wrong inside Lathe', retryable: true },
} as const satisfies Record<string, { status: number; title: string; retryable: boolean }>;

export type ErrorCode = keyof typeof ERRORS;

/**
 * One problem, with where it is: a JSON path of the request (`/steps/0/sparsity`), or a place in a file (`node
 * "conv1"`).
 */
export interface ErrorDetail {
  readonly path: string;
  readonly message: string;
}

export class LatheError extends Error {
  readonly code: ErrorCode;
  readonly errors: readonly ErrorDetail[];
  constructor(code: ErrorCode, message: string, errors: readonly ErrorDetail[] = [], options?: ErrorOptions) {
    super(message, options);
    this.name = 'LatheError';
    this.code = code;
    this.errors = errors;
  }
  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}

/** Whether the operating system refused to write for want of space. */
export function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** Whether time or memory ran out, whatever else might still be tried. */
export function isExhausted(error: unknown): boolean {
  return error instanceof LatheError && (error.code === 'deadline-exceeded' || error.code === 'out-of-memory');
}

/** Whether what was asked for needs an operator, or a form of one, that is not there. */
export function isUnsupportedOperator(error: unknown): error is LatheError {
  return error instanceof LatheError && error.code === 'unsupported-operator';
}
