/** Reads environment variables by their schema. An empty or blank variable counts as not set. */
import { Value } from 'typebox/value';
import { VARIABLES, type VariableName, type VariableNotes, type Variables } from './variables.ts';

export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.length === 1 ? problems.join() : `The configuration is not valid:${problems.map(asItem).join('')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

const asItem = (problem: string): string => `\n  - ${problem}`;

/** What the messages need of a variable's JSON Schema. */
export interface VariableSchema extends VariableNotes {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly items?: VariableSchema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
}

export const VARIABLE_NAMES = Object.keys(VARIABLES.properties) as readonly VariableName[];

/** @throws ConfigError with all problems of the named variables */
export function readVariables<N extends VariableName>(
  environment: NodeJS.ProcessEnv,
  names: readonly N[],
): Pick<Variables, N> {
  const problems = names.flatMap((name) => problemOf(environment, name) ?? []);
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.fromEntries(names.map((name) => [name, valueOf(environment, name)])) as Pick<Variables, N>;
}

/** @throws ConfigError where its value is not allowed */
export function readVariable<N extends VariableName>(environment: NodeJS.ProcessEnv, name: N): Variables[N] {
  return readVariables(environment, [name])[name];
}

/** The variable as it is written, unchecked; `null`: not set. */
export function textOf(environment: NodeJS.ProcessEnv, name: VariableName): string | null {
  return environment[name]?.trim() || null;
}

/** What is wrong with the variable's value; `null`: nothing. */
export function problemOf(environment: NodeJS.ProcessEnv, name: VariableName): string | null {
  const text = textOf(environment, name);
  if (text === null || Value.Check(VARIABLES.properties[name], valueOf(environment, name))) return null;
  const schema = schemaOf(name);
  const verb = isChoice(schema) ? 'can' : 'must';
  const shown = schema.secret ? 'not valid (its value may be secret and is not shown)' : `"${text}"`;
  return `${name} is ${shown}; it ${verb} be ${allowedValues(schema)}`;
}

/** In words: `auto, tensorflow, wasm`. */
export function allowedValues(schema: VariableSchema): string {
  if (schema.allowed !== undefined) return schema.allowed;
  if (schema.items) return `${allowedValues(schema.items)}, several separated by commas`;
  if (schema.enum) return schema.enum.join(', ');
  if (schema.type === 'boolean') return 'true, false';
  if (schema.type === 'integer') return `a whole number from ${schema.minimum} to ${schema.maximum}`;
  return schema.type === 'number' ? 'a number above 0' : 'any text';
}

export function schemaOf(name: VariableName): VariableSchema {
  return VARIABLES.properties[name] as unknown as VariableSchema;
}

function isChoice(schema: VariableSchema): boolean {
  return schema.enum !== undefined || schema.items !== undefined || schema.type === 'boolean';
}

/** Of the schema's type where the text can be read so, else the text itself, which the schema refuses. */
function valueOf(environment: NodeJS.ProcessEnv, name: VariableName): unknown {
  const text = textOf(environment, name);
  const { type, default: fallback } = schemaOf(name);
  if (text === null) return fallback;
  if (type === 'integer' || type === 'number') return Number(text);
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text;
  return type === 'array' ? text.split(',').map((item) => item.trim()) : text;
}
