/** What an inspecting child writes, as one JSON document, on file descriptor 3. */
import { ERRORS, LatheError, type ErrorCode, type ErrorDetail } from '../errors.ts';
import { isExpansionFailure } from '../process/memory-failure.ts';

export interface InspectionFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly errors: readonly ErrorDetail[];
}

export type InspectionMessage<T> = { readonly result: T } | { readonly error: InspectionFailure };

/** Errors that are no `LatheError` are the parser's own: they count as damage of the file, told without a stack. */
export function failureOf(error: unknown, fallback: ErrorCode): InspectionFailure {
  if (error instanceof LatheError) return { code: error.code, message: error.message, errors: error.errors };
  if (error instanceof RangeError && isExpansionFailure(error.message))
    return { code: 'too-large', message: `The file expands beyond the memory limit (${error.message})`, errors: [] };
  const code = codeOf(error) ?? fallback;
  return { code, message: error instanceof Error ? error.message : String(error), errors: [] };
}

/** Errors of the compression library with a code of the catalogue that are not `LatheError`s. */
function codeOf(error: unknown): ErrorCode | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  const { code } = error;
  return typeof code === 'string' && code in ERRORS ? (code as ErrorCode) : null;
}
