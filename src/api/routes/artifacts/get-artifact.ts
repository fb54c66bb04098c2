import { Artifact } from '../../../contracts/api.ts';
import { requireFound, ID_PARAMS } from '../../lookup.ts';
import { responses, json } from '../../openapi/responses.ts';
import type { ApiDeps, App } from '../../types.ts';
import { artifactView } from '../../views.ts';

export function getArtifact(app: App, { store }: ApiDeps): void {
  app.get(
    '/artifacts/:id',
    {
      schema: {
        operationId: 'getArtifact',
        tags: ['artifacts'],
        summary: 'An artifact',
        params: ID_PARAMS,
        response: responses({ 200: json('The artifact', Artifact) }, 'not-found'),
      },
    },
    async ({ params, principal }) =>
      artifactView(await requireFound('artifact', params.id, (id) => store.artifacts.find(principal.tenantId, id))),
  );
}
