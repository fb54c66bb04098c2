/** What a route may answer, for its `response` schema: successes by status, and the catalogue's errors by code. */
import type { TSchema } from 'typebox';
import { Problem } from '../../contracts/api.ts';
import { ERRORS, type ErrorCode } from '../../errors.ts';
import { PROBLEM_TYPE } from '../problem.ts';

export interface Success {
  readonly description: string;
  /** By media type; none: the answer has no body. */
  readonly content?: Record<string, TSchema>;
  readonly headers?: Record<string, { readonly description: string; readonly type?: string }>;
}

/** Errors that every route under /v1 can answer. */
export const COMMON_ERRORS: readonly ErrorCode[] = ['unauthorized', 'rate-limited', 'unavailable'];

export function json(description: string, schema: TSchema): Success {
  return { description, content: { 'application/json': schema } };
}

/** For routes under /v1 that answer one type, whatever is asked for. */
export function responses(successes: Record<number, Success>, ...codes: ErrorCode[]): Record<string, unknown> {
  return openResponses(successes, ...COMMON_ERRORS, 'not-acceptable', ...codes);
}

/** For routes that ask for no key. */
export function openResponses(successes: Record<number, Success>, ...codes: ErrorCode[]): Record<string, unknown> {
  const byStatus = groupByStatus(codes);
  const good = Object.entries(successes).map(([status, success]) => [status, rendered(success)]);
  const bad = [...byStatus].map(([status, group]) => [
    status,
    problem(group.map((code) => `\`${code}\`: ${ERRORS[code].title}.`).join(' ')),
  ]);
  return Object.fromEntries([
    ...good,
    ...bad,
    ['default', problem('`internal`: something went wrong inside Lathe.')],
  ]) as Record<string, unknown>;
}

function groupByStatus(codes: readonly ErrorCode[]): Map<number, ErrorCode[]> {
  const groups = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes))
    groups.set(ERRORS[code].status, [...(groups.get(ERRORS[code].status) ?? []), code]);
  return groups;
}

function rendered({ description, content, headers }: Success): object {
  return {
    description,
    ...(headers
      ? {
          headers: Object.fromEntries(
            Object.entries(headers).map(([name, { description: text, type = 'string' }]) => [
              name,
              { type, description: text },
            ]),
          ),
        }
      : {}),
    ...(content
      ? { content: Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, { schema }])) }
      : { type: 'null' }),
  };
}

function problem(description: string): object {
  return { description, content: { [PROBLEM_TYPE]: { schema: Problem } } };
}
