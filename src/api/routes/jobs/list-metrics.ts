import { Type } from 'typebox';
import { Metric } from '../../../contracts/api.ts';
import { existing, ID_PARAMS } from '../../lookup.ts';
import { answers, json } from '../../openapi/answers.ts';
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
        response: answers(
          { 200: json('All metrics of the job', Type.Object({ items: Type.Array(Metric) })) },
          'not-found',
        ),
      },
    },
    async ({ params, principal }) => {
      const job = await existing('job', params.id, (id) => store.jobs.find(principal.tenantId, id));
      return { items: await store.jobs.metrics(job.id) };
    },
  );
}
