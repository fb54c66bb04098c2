import { Type } from 'typebox';
import { Metric } from '../../../contracts/api.ts';
import { requireFound, ID_PARAMS } from '../../lookup.ts';
import { responses, json } from '../../openapi/responses.ts';
import type { ApiDeps, App } from '../../types.ts';

export function listMetrics(app: App, { store }: ApiDeps): void {
  app.get(
    '/jobs/:id/metrics',
    {
      schema: {
        operationId: 'listMetrics',
        tags: ['jobs'],
        summary: "The course of a job's training metrics, by step, epoch and name",
        params: ID_PARAMS,
        response: responses(
          { 200: json('All metrics of the job', Type.Object({ items: Type.Array(Metric) })) },
          'not-found',
        ),
      },
    },
    async ({ params, principal }) => {
      const job = await requireFound('job', params.id, (id) => store.jobs.find(principal.tenantId, id));
      return { items: await store.jobs.metrics(job.id) };
    },
  );
}
