import { Type } from 'typebox';
import { WorkerStatus } from '../../../contracts/api.ts';
import { responses, json } from '../../openapi/responses.ts';
import { PAGE_QUERY } from '../../paging.ts';
import type { ApiDeps, App } from '../../types.ts';

/** Workers announce themselves every few seconds. */
const WORKER_TIMEOUT_MS = 15_000;

export function listWorkers(app: App, { store }: ApiDeps): void {
  app.get(
    '/workers',
    {
      schema: {
        operationId: 'listWorkers',
        tags: ['workers'],
        summary: 'Live workers: their pools, devices, and what each is doing',
        querystring: Type.Object(PAGE_QUERY, { additionalProperties: false }),
        response: responses(
          { 200: json('All live workers', Type.Object({ items: Type.Array(WorkerStatus), nextCursor: Type.Null() })) },
          'invalid-request',
        ),
      },
    },
    async ({ principal }) => {
      const workers = await store.workers.live(WORKER_TIMEOUT_MS);
      const own = await store.jobs.ownedBy(
        principal.tenantId,
        workers.flatMap(({ jobs }) => jobs),
      );
      return {
        items: workers.map(({ jobs, startedAt, seenAt, devices, ...worker }) => ({
          ...worker,
          devices: [...devices],
          jobs: jobs.filter((id) => own.has(id)),
          busy: jobs.length,
          startedAt: startedAt.toISOString(),
          seenAt: seenAt.toISOString(),
        })),
        nextCursor: null,
      };
    },
  );
}
