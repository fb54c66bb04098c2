import { Job } from '../../../contracts/api.ts';
import { LatheError } from '../../../errors.ts';
import { requireFound, ID_PARAMS } from '../../lookup.ts';
import { responses, json } from '../../openapi/responses.ts';
import type { ApiDeps, App } from '../../types.ts';
import { jobView } from '../../views.ts';

export function cancelJob(app: App, { store }: ApiDeps): void {
  app.post(
    '/jobs/:id/cancel',
    {
      schema: {
        operationId: 'cancelJob',
        tags: ['jobs'],
        summary: 'Cancel a job',
        params: ID_PARAMS,
        description: 'A queued job ends at once; a running one is `canceling` until its worker has stopped.',
        response: responses({ 202: json('The job, canceled or about to be', Job) }, 'not-found', 'conflict'),
      },
    },
    async ({ params, principal, log }, reply) => {
      const { accepted, job } = await requireFound('job', params.id, (id) => store.jobs.cancel(principal.tenantId, id));
      if (!accepted) throw new LatheError('conflict', `The job has ended: it is ${job.state}`);
      log.info({ job: job.id, state: job.state }, 'job cancel requested');
      return reply.code(202).send(jobView(job));
    },
  );
}
