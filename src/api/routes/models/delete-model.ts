import { LatheError } from '../../../errors.ts';
import { isId } from '../../../ids.ts';
import { ID_PARAMS, notFound } from '../../lookup.ts';
import { responses } from '../../openapi/responses.ts';
import type { ApiDeps, App } from '../../types.ts';

export function deleteModel(app: App, { store, blobReferences }: ApiDeps): void {
  app.delete(
    '/models/:id',
    {
      schema: {
        operationId: 'deleteModel',
        tags: ['models'],
        summary: 'Delete a model',
        params: ID_PARAMS,
        description: 'Jobs that have ended keep their reports and artifacts.',
        response: responses({ 204: { description: 'It is gone' } }, 'not-found', 'conflict'),
      },
    },
    async ({ params: { id }, principal }, reply) => {
      if (!isId('model', id)) throw notFound('model', id);
      const removal = await store.models.remove(principal.tenantId, id);
      if (removal.outcome === 'not-found') throw notFound('model', id);
      if (removal.outcome === 'in-use')
        throw new LatheError('conflict', 'A job that is queued or running uses the model; cancel it first');
      await blobReferences.collect(removal.sha256);
      return reply.code(204).send();
    },
  );
}
