import { Dataset } from '../../../contracts/api.ts';
import { requireFound, ID_PARAMS } from '../../lookup.ts';
import { responses, json } from '../../openapi/responses.ts';
import type { ApiDeps, App } from '../../types.ts';
import { datasetView } from '../../views.ts';

export function getDataset(app: App, { store }: ApiDeps): void {
  app.get(
    '/datasets/:id',
    {
      schema: {
        operationId: 'getDataset',
        tags: ['datasets'],
        summary: 'A dataset',
        params: ID_PARAMS,
        response: responses({ 200: json('The dataset', Dataset) }, 'not-found'),
      },
    },
    async ({ params, principal }) =>
      datasetView(await requireFound('dataset', params.id, (id) => store.datasets.find(principal.tenantId, id))),
  );
}
