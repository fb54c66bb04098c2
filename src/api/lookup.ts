/** Ids in paths: malformed, unknown and another tenant's are all answered with the same 404. */
import { Type } from 'typebox';
import { LatheError } from '../errors.ts';
import { isId, type IdKind } from '../ids.ts';

export const ID_PARAMS = Type.Object({ id: Type.String() });

export async function requireFound<T>(kind: IdKind, id: string, find: (id: string) => Promise<T | null>): Promise<T> {
  const found = isId(kind, id) ? await find(id) : null;
  if (found === null) throw notFound(kind, id);
  return found;
}

export function notFound(kind: IdKind, id: string): LatheError {
  return new LatheError('not-found', `There is no ${kind} "${id}"`);
}
