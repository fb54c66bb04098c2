import { Type } from 'typebox';
import { Artifact, pageOf } from '../../../contracts/api.ts';
import { responses, json } from '../../openapi/responses.ts';
import { PAGE_QUERY, pageRequest, pageView } from '../../paging.ts';
import type { ApiDeps, App } from '../../types.ts';
import { artifactView } from '../../views.ts';

export function listArtifacts(app: App, { store }: ApiDeps): void {
  app.get(
    '/artifacts',
    {
      schema: {
        operationId: 'listArtifacts',
        tags: ['artifacts'],
        summary: 'List artifacts, newest first',
        querystring: Type.Object(
          {
            ...PAGE_QUERY,
            job: Type.Optional(
              Type.String({ maxLength: 100, pattern: '^[\\x21-\\x7e]*$', description: 'of this job only' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: responses({ 200: json('A page of artifacts', pageOf(Artifact)) }, 'invalid-request'),
      },
    },
    async ({ query, principal }) =>
      pageView(
        await store.artifacts.list(principal.tenantId, { jobId: query.job }, pageRequest('artifact', query)),
        artifactView,
      ),
  );
}
