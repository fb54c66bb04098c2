/**
 * Requests against their TypeBox schemas. Bodies are taken as they are; query and headers, which are all text, are
 * converted first.
 */
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { schemaProblems } from '../compression/recipe/schema-problems.ts';
import { LatheError, type ErrorDetail } from '../errors.ts';

export const validatorCompiler: FastifySchemaCompiler<TSchema> =
  ({ schema, httpPart }) =>
  (given: unknown) => {
    const value = httpPart === 'querystring' ? Value.Default(schema, fromQuery(schema, given)) : given;
    if (Value.Check(schema, value)) return { value };
    const problems = schemaProblems(schema, value).map((problem) =>
      httpPart === 'querystring' ? { ...problem, path: `?${problem.path.slice(1)}` } : problem,
    );
    return { error: invalid(problems) };
  };

export function invalid(problems: readonly ErrorDetail[]): LatheError {
  return new LatheError(
    'invalid-request',
    problems.map(({ path, message }) => `${path || 'the body'}: ${message}`).join('; '),
    problems,
  );
}

/** `?state=a,b` and `?state=a&state=b` are lists where the schema has one; numbers and booleans are read. */
function fromQuery(schema: TSchema, given: unknown): unknown {
  const properties = (schema as { properties?: Record<string, { type?: string }> }).properties ?? {};
  const entries = Object.entries(given as Record<string, unknown>).map(([name, value]): [string, unknown] => {
    if (properties[name]?.type !== 'array') return [name, value];
    return [name, [value].flat().flatMap((item) => String(item).split(','))];
  });
  return Value.Convert(schema, Object.fromEntries(entries));
}
