import { Report } from '../../../contracts/report.ts';
import { LatheError } from '../../../errors.ts';
import { requireFound, ID_PARAMS } from '../../lookup.ts';
import { responses, json } from '../../openapi/responses.ts';
import type { ApiDeps, App } from '../../types.ts';

export function getReport(app: App, { store }: ApiDeps): void {
  app.get(
    '/jobs/:id/report',
    {
      schema: {
        operationId: 'getReport',
        tags: ['jobs'],
        summary: 'The evidence of a job: what was measured before and after',
        params: ID_PARAMS,
        response: responses({ 200: json('The report', { ...Report, title: 'Report' }) }, 'not-found', 'conflict'),
      },
    },
    async ({ params, principal }) => {
      const { report, state } = await requireFound('job', params.id, (id) => store.jobs.find(principal.tenantId, id));
      if (report === null) throw new LatheError('conflict', `The job has no report: it is ${state}`);
      return report;
    },
  );
}
