/** docs/configuration.md, from the schema of the variables. */
import { allowedValues, schemaOf, VARIABLE_NAMES } from './read.ts';
import type { VariableName } from './variables.ts';

const HEAD = `# Configuration

Written by \`npm run docs\` from \`src/config/variables.ts\`. The service, its workers and the command line read these
environment variables; an empty one counts as not set. A value that is not allowed stops the start, with a message for
each. The compiled engine has variables of its own: \`LATHE_KERNELS\` ([kernels](decisions/kernels.md)),
\`LATHE_ENGINE_BUILD\` (\`cpu\` or \`cuda\`).

| variable | means | allowed | without it |
|---|---|---|---|
`;

export function configurationPage(): string {
  return `${HEAD}${VARIABLE_NAMES.map(rowOf).join('\n')}\n`;
}

function rowOf(name: VariableName): string {
  const schema = schemaOf(name);
  const fallback = schema.default === undefined ? (schema.otherwise ?? '') : `\`${String(schema.default)}\``;
  return `| \`${name}\` | ${schema.description} | ${allowedValues(schema)} | ${fallback} |`;
}
