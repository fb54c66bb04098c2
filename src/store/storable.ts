/**
 * JSON as Postgres accepts it: without NUL characters and unpaired surrogates, which names in uploaded files may
 * contain.
 */
import type { Prisma } from './generated/client.ts';

const UNSTORABLE = /\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const REPLACEMENT = '\ufffd';

export function storableText(text: string): string {
  return text.replace(UNSTORABLE, REPLACEMENT);
}

/** A deep copy; what JSON does not know (undefined, NaN) becomes what JSON makes of it. */
export function storable(value: unknown): Prisma.InputJsonValue {
  return replaced(JSON.parse(JSON.stringify(value))) as Prisma.InputJsonValue;
}

function replaced(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value);
  if (Array.isArray(value)) return value.map(replaced);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [storableText(name), replaced(member)]));
}
