import type { components } from './generated/api.ts';

type Problem = components['schemas']['Problem'];

/** An answer of the service that says no: problem+json (RFC 9457). */
export class ProblemError extends Error {
  readonly status: number;
  /** Tells errors apart; `unknown` where something between client and service answered. */
  readonly code: string;
  readonly errors: readonly { readonly path: string; readonly message: string }[];

  constructor(status: number, problem: Partial<Problem>) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    this.name = 'ProblemError';
    this.status = status;
    this.code = problem.code ?? 'unknown';
    this.errors = problem.errors ?? [];
  }
}

const MAX_TEXT_LENGTH = 500;

/** Reads the body of an answer that is not a success. */
export async function problemOf(response: Response): Promise<ProblemError> {
  const text = await response.text();
  try {
    return new ProblemError(response.status, JSON.parse(text) as Partial<Problem>);
  } catch {
    return new ProblemError(response.status, text ? { detail: text.slice(0, MAX_TEXT_LENGTH) } : {});
  }
}
