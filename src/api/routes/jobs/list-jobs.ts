import { Type } from 'typebox';
import { Job, JobState, pageOf } from '../../../contracts/api.ts';
import { responses, json } from '../../openapi/responses.ts';
import { PAGE_QUERY, pageRequest, pageView } from '../../paging.ts';
import type { ApiDeps, App } from '../../types.ts';
import { jobView } from '../../views.ts';

export function listJobs(app: App, { store }: ApiDeps): void {
  app.get(
    '/jobs',
    {
      schema: {
        operationId: 'listJobs',
        tags: ['jobs'],
        summary: 'List jobs, newest first',
        querystring: Type.Object(
          {
            ...PAGE_QUERY,
            state: Type.Optional(
              Type.Array(JobState, { description: 'any of these; repeated, or separated by commas' }),
            ),
            label: Type.Optional(
              Type.Array(Type.String({ minLength: 1, maxLength: 500 }), {
                description: '`name:value`, or `name` for any value; several must all fit',
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: responses({ 200: json('A page of jobs', pageOf(Job)) }, 'invalid-request'),
      },
    },
    async ({ query, principal }) => {
      const filter = { states: query.state, labels: query.label?.map(parseLabel) };
      return pageView(await store.jobs.list(principal.tenantId, filter, pageRequest('job', query)), jobView);
    },
  );
}

function parseLabel(text: string): { name: string; value: string | null } {
  const at = text.search(/[:=]/);
  return at < 0 ? { name: text, value: null } : { name: text.slice(0, at), value: text.slice(at + 1) };
}
