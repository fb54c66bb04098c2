/** TypeBox's findings as problems that a person can act on: one per place, saying what would be right. */
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import type { ErrorDetail } from '../../errors.ts';

type Finding = ReturnType<typeof Value.Errors>[number];

/** Empty where `value` fits. Paths are JSON pointers within `value`. */
export function schemaProblems(schema: TSchema, value: unknown): ErrorDetail[] {
  const problems = new Map<string, string>();
  for (const finding of Value.Errors(schema, value)) {
    for (const { path, message } of explain(finding)) if (!problems.has(path)) problems.set(path, message);
  }
  return [...problems].map(([path, message]) => ({ path, message }));
}

function explain({ keyword, instancePath, params, message }: Finding): ErrorDetail[] {
  switch (keyword) {
    case 'additionalProperties': {
      const names = (params as { additionalProperties: readonly string[] }).additionalProperties;
      return names.map((name) => ({ path: `${instancePath}/${name}`, message: 'there is no such parameter' }));
    }
    case 'boolean': return []; // the value of an unknown property: said by additionalProperties
    case 'required': {
      const names = (params as { requiredProperties: readonly string[] }).requiredProperties;
      return [{ path: instancePath, message: `needs ${names.join(' and ')}` }];
    }
    case 'enum': {
      const allowed = (params as { allowedValues?: readonly unknown[] }).allowedValues;
      return [{ path: instancePath, message: allowed ? `must be one of ${allowed.map((item) => JSON.stringify(item)).join(', ')}` : message }];
    }
    default: return [{ path: instancePath, message }];
  }
}
