import { Artifact } from '../../../contracts/api.ts';
import { existing, ID_PARAMS } from '../../lookup.ts';
import { answers, json } from '../../openapi/answers.ts';
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
        response: answers({ 200: json('The artifact', Artifact) }, 'not-found'),
      },
    },
    async ({ params, principal }) =>
      artifactView(await existing('artifact', params.id, (id) => store.artifacts.find(principal.tenantId, id))),
  );
}
