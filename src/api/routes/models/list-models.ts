import { Type } from 'typebox';
import { Model, pageOf } from '../../../contracts/api.ts';
import { responses, json } from '../../openapi/responses.ts';
import { PAGE_QUERY, pageRequest, pageView } from '../../paging.ts';
import type { ApiDeps, App } from '../../types.ts';
import { modelView } from '../../views.ts';

export function listModels(app: App, { store }: ApiDeps): void {
  app.get(
    '/models',
    {
      schema: {
        operationId: 'listModels',
        tags: ['models'],
        summary: 'List models, newest first',
        querystring: Type.Object(PAGE_QUERY, { additionalProperties: false }),
        response: responses({ 200: json('A page of models', pageOf(Model)) }, 'invalid-request'),
      },
    },
    async (request) =>
      pageView(await store.models.list(request.principal.tenantId, pageRequest('model', request.query)), modelView),
  );
}
