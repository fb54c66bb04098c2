/** Cursors: opaque to clients, the id of the last item to us. */
import { Type } from 'typebox';
import { LatheError } from '../errors.ts';
import { isId, type IdKind } from '../ids.ts';
import type { Page, PageRequest } from '../jobs/ports/api-side.ts';

export const PAGE_QUERY = {
  cursor: Type.Optional(Type.String({ maxLength: 200, description: '`nextCursor` of the page before' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
};

export function pageRequest(kind: IdKind, { cursor, limit = 50 }: { cursor?: string; limit?: number }): PageRequest {
  if (cursor === undefined) return { after: null, limit };
  const after = Buffer.from(cursor, 'base64url').toString('utf8');
  if (!isId(kind, after))
    throw new LatheError('invalid-request', 'The cursor does not belong to this list', [
      { path: '?cursor', message: 'pass nextCursor unchanged' },
    ]);
  return { after, limit };
}

export function pageView<T, V>(
  { items, next }: Page<T>,
  view: (item: T) => V,
): { items: V[]; nextCursor: string | null } {
  return { items: items.map(view), nextCursor: next === null ? null : Buffer.from(next, 'utf8').toString('base64url') };
}
