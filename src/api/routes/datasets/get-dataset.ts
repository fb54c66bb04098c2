import { Dataset } from '../../../contracts/api.ts';
import { existing, ID_PARAMS } from '../../lookup.ts';
import { answers, json } from '../../openapi/answers.ts';
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
        response: answers({ 200: json('The dataset', Dataset) }, 'not-found'),
      },
    },
    async ({ params, principal }) =>
      datasetView(await existing('dataset', params.id, (id) => store.datasets.find(principal.tenantId, id))),
  );
}
