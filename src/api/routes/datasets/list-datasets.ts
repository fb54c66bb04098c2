import { Type } from 'typebox';
import { Dataset, pageOf } from '../../../contracts/api.ts';
import { responses, json } from '../../openapi/responses.ts';
import { PAGE_QUERY, pageRequest, pageView } from '../../paging.ts';
import type { ApiDeps, App } from '../../types.ts';
import { datasetView } from '../../views.ts';

export function listDatasets(app: App, { store }: ApiDeps): void {
  app.get(
    '/datasets',
    {
      schema: {
        operationId: 'listDatasets',
        tags: ['datasets'],
        summary: 'List datasets, newest first',
        querystring: Type.Object(PAGE_QUERY, { additionalProperties: false }),
        response: responses({ 200: json('A page of datasets', pageOf(Dataset)) }, 'invalid-request'),
      },
    },
    async (request) =>
      pageView(
        await store.datasets.list(request.principal.tenantId, pageRequest('dataset', request.query)),
        datasetView,
      ),
  );
}
