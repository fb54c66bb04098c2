/**
 * Pages from the newest row back. Ids sort by time, so the last id of a page is where the next one goes on: stable
 * while rows are added.
 */
import type { Page, PageRequest } from '../jobs/ports/api-side.ts';

/** One row more than asked for tells whether there is a next page. */
export function pageQuery({ after, limit }: PageRequest) {
  return {
    orderBy: { id: 'desc' as const },
    take: limit + 1,
    ...(after === null ? {} : { where: { id: { lt: after } } }),
  };
}

export function toPage<Row extends { id: string }, Item>(
  rows: readonly Row[],
  limit: number,
  toItem: (row: Row) => Item,
): Page<Item> {
  const kept = rows.slice(0, limit);
  return { items: kept.map(toItem), next: rows.length > limit ? (kept.at(-1)?.id ?? null) : null };
}
