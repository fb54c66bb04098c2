/**
 * A technique's parameters as a client writes them: a step of a job request, of which all may be left out that has a
 * default.
 */
import type { TechniqueSpec } from '../compression/techniques/technique.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** Within Lathe a default is filled in before the check, so that the spec's own schema requires it. */
export function stepSchema({ name, parameters }: Pick<TechniqueSpec, 'name' | 'parameters'>): Record<string, Json> {
  // A copy through JSON is the plain schema: TypeBox's own marks are not enumerable.
  const schema = withoutDefaulted(JSON.parse(JSON.stringify(parameters)) as Json) as Record<string, Json>;
  return { ...schema, properties: { technique: { const: name }, ...(schema.properties as Record<string, Json>) } };
}

function withoutDefaulted(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(withoutDefaulted);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { required, ...rest } = Object.fromEntries(
    Object.entries(schema).map(([name, value]) => [name, withoutDefaulted(value)]),
  );
  if (!Array.isArray(required)) return required === undefined ? rest : { ...rest, required };
  const properties = rest.properties as Record<string, object> | undefined;
  const needed = (required as readonly string[]).filter((name) => !('default' in (properties?.[name] ?? {})));
  return needed.length > 0 ? { ...rest, required: needed } : rest;
}
