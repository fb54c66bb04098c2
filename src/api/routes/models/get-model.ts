import { Model } from '../../../contracts/api.ts';
import { requireFound, ID_PARAMS } from '../../lookup.ts';
import { responses, json } from '../../openapi/responses.ts';
import type { ApiDeps, App } from '../../types.ts';
import { modelView } from '../../views.ts';

export function getModel(app: App, { store }: ApiDeps): void {
  app.get(
    '/models/:id',
    {
      schema: {
        operationId: 'getModel',
        tags: ['models'],
        summary: 'A model',
        params: ID_PARAMS,
        response: responses({ 200: json('The model', Model) }, 'not-found'),
      },
    },
    async ({ params, principal }) =>
      modelView(await requireFound('model', params.id, (id) => store.models.find(principal.tenantId, id))),
  );
}
