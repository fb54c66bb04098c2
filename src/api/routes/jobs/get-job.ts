import { Job } from '../../../contracts/api.ts';
import { requireFound, ID_PARAMS } from '../../lookup.ts';
import { responses, json } from '../../openapi/responses.ts';
import type { ApiDeps, App } from '../../types.ts';
import { jobView } from '../../views.ts';

export function getJob(app: App, { store }: ApiDeps): void {
  app.get(
    '/jobs/:id',
    {
      schema: {
        operationId: 'getJob',
        tags: ['jobs'],
        summary: 'A job',
        params: ID_PARAMS,
        response: responses({ 200: json('The job', Job) }, 'not-found'),
      },
    },
    async ({ params, principal }) =>
      jobView(await requireFound('job', params.id, (id) => store.jobs.find(principal.tenantId, id))),
  );
}
