/** Turns TypeBox's errors into problems that a person can act on: one per place, saying what would be valid. */
import type { TSchema } from 'typebox';
import { Settings } from 'typebox/system';
import { Value } from 'typebox/value';
import type { ErrorDetail } from '../../errors.ts';

/** A union of many alternatives has several errors for each, and its own comes last. TypeBox's default is 8. */
Settings.Set({ maxErrors: 1000 });

type Finding = ReturnType<typeof Value.Errors>[number];

/** Empty where `value` fits. Paths are JSON pointers within `value`. */
export function schemaProblems(schema: TSchema, value: unknown): ErrorDetail[] {
  const problems = new Map<string, string>();
  const findings = Value.Errors(schema, value);
  const choices = findings.filter(({ keyword }) => keyword === 'anyOf').map(({ schemaPath }) => `${schemaPath}/anyOf/`);
  for (const finding of findings) {
    // the list of valid forms says more than why each one does not fit
    if (choices.some((choice) => finding.schemaPath.startsWith(choice))) continue;
    for (const { path, message } of explain(finding, schema, value))
      if (!problems.has(path)) problems.set(path, message);
  }
  return [...problems].map(([path, message]) => ({ path, message }));
}

function explain(
  { keyword, instancePath, schemaPath, params, message }: Finding,
  schema: TSchema,
  value: unknown,
): ErrorDetail[] {
  switch (keyword) {
    case 'additionalProperties': {
      const names = (params as { additionalProperties: readonly string[] }).additionalProperties;
      return names.map((name) => ({ path: `${instancePath}/${name}`, message: 'there is no such parameter' }));
    }
    case 'boolean':
      return []; // the value of an unknown property; additionalProperties reports it
    case 'required': {
      const names = (params as { requiredProperties: readonly string[] }).requiredProperties;
      return [{ path: instancePath, message: `needs ${names.join(' and ')}` }];
    }
    case 'enum': {
      const allowed = (params as { allowedValues?: readonly unknown[] }).allowedValues;
      return [
        {
          path: instancePath,
          message: allowed ? `must be one of ${allowed.map((item) => JSON.stringify(item)).join(', ')}` : message,
        },
      ];
    }
    case 'anyOf':
      return unionProblems(alternativesAt(schema, schemaPath), instancePath, valueAt(value, instancePath));
    default:
      return [{ path: instancePath, message }];
  }
}

/** Where `kind` tells the alternatives apart, only the one that was meant is explained. */
function unionProblems(forms: readonly Form[], path: string, value: unknown): ErrorDetail[] {
  const kinds = forms.map(({ properties }) => properties?.kind?.const);
  const { kind: given } = (typeof value === 'object' ? (value ?? {}) : {}) as { kind?: unknown };
  if (given === undefined || kinds.includes(undefined))
    return [{ path, message: `must be one of ${forms.map(formText).join(', ')}` }];
  const meant = forms[kinds.indexOf(given)];
  if (!meant)
    return [
      { path: `${path}/kind`, message: `must be one of ${kinds.map((kind) => JSON.stringify(kind)).join(', ')}` },
    ];
  return schemaProblems(meant, value).map((problem) => ({ ...problem, path: path + problem.path }));
}

function valueAt(value: unknown, path: string): unknown {
  return path
    .split('/')
    .slice(1)
    .reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);
}

/** The alternatives of a union in the schema. */
function alternativesAt(schema: TSchema, schemaPath: string): readonly Form[] {
  const at = schemaPath
    .slice(1)
    .split('/')
    .slice(1)
    .reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], schema);
  return (at as { anyOf: readonly Form[] }).anyOf;
}

interface Form {
  readonly const?: unknown;
  readonly type?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Form>>;
}

/** `"auto"`, `integer >= 0`, `{"absolute": number}`. */
function formText({ const: only, type = 'value', minimum, maximum, properties }: Form): string {
  if (only !== undefined) return JSON.stringify(only);
  if (properties)
    return `{${Object.entries(properties)
      .map(([name, form]) => `${JSON.stringify(name)}: ${formText(form)}`)
      .join(', ')}}`;
  return `${type}${minimum === undefined ? '' : ` >= ${minimum}`}${maximum === undefined ? '' : ` <= ${maximum}`}`;
}
