/** How the failure of a job process is told to the process that started it. */
import { isDiskFull, LatheError } from '../../src/errors.ts';
import { isMemoryFailure } from '../../src/process/memory-failure.ts';
import type { TaskFailure } from './protocol.ts';

export function failureOf(error: unknown): TaskFailure {
  if (error instanceof LatheError) return { code: error.code, message: error.message, errors: error.errors };
  const message = error instanceof Error ? error.message : String(error);
  if (isDiskFull(error)) return { code: 'unavailable', message: `The worker's disk is full: ${message}`, errors: [] };
  return { code: isMemoryFailure(message) ? 'out-of-memory' : 'internal', message, errors: [] };
}
