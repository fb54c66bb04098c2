import { CreatedKey, Key, NewKeyRequest, pageOf } from '../../../contracts/api.ts';
import { isId, newId } from '../../../ids.ts';
import { Type } from 'typebox';
import { LatheError } from '../../../errors.ts';
import { ID_PARAMS, notFound } from '../../lookup.ts';
import { responses, json } from '../../openapi/responses.ts';
import { PAGE_QUERY, pageRequest, pageView } from '../../paging.ts';
import { requireAdministrator } from '../../plugins/authentication.ts';
import type { ApiDeps, App } from '../../types.ts';
import { keyView } from '../../views.ts';

export function createKey(app: App, { store, keys }: ApiDeps): void {
  app.post(
    '/keys',
    {
      onRequest: requireAdministrator,
      schema: {
        operationId: 'createKey',
        tags: ['keys'],
        summary: 'Make an API key (administrators)',
        body: NewKeyRequest,
        response: responses(
          { 201: json('The key, shown this once', CreatedKey) },
          'invalid-request',
          'forbidden',
          'too-large',
          'unsupported-media-type',
        ),
      },
    },
    async ({ body, log }, reply) => {
      const { key, prefix, mac } = keys.make();
      const { tenant, name, role = 'member' } = body;
      const stored = await store.keys.add({ id: newId('key'), tenant, name, role, prefix, mac });
      log.info({ keyId: stored.id, tenant: stored.tenant, role: stored.role }, 'key made');
      return reply.code(201).send({ ...keyView(stored), key });
    },
  );
}

export function listKeys(app: App, { store }: ApiDeps): void {
  app.get(
    '/keys',
    {
      onRequest: requireAdministrator,
      schema: {
        operationId: 'listKeys',
        tags: ['keys'],
        summary: 'List API keys, newest first (administrators)',
        querystring: Type.Object(PAGE_QUERY, { additionalProperties: false }),
        response: responses({ 200: json('A page of keys', pageOf(Key)) }, 'invalid-request', 'forbidden'),
      },
    },
    async ({ query }) => pageView(await store.keys.list(pageRequest('key', query)), keyView),
  );
}

export function deleteKey(app: App, { store }: ApiDeps): void {
  app.delete(
    '/keys/:id',
    {
      onRequest: requireAdministrator,
      schema: {
        operationId: 'deleteKey',
        tags: ['keys'],
        summary: 'Revoke an API key (administrators)',
        params: ID_PARAMS,
        response: responses(
          { 204: { description: 'The key is worth nothing any more' } },
          'forbidden',
          'not-found',
          'conflict',
        ),
      },
    },
    async ({ params: { id }, principal, log }, reply) => {
      if (id === principal.keyId)
        throw new LatheError('conflict', "A key cannot revoke itself; use another administrator's");
      if (!isId('key', id) || !(await store.keys.revoke(id))) throw notFound('key', id);
      log.info({ keyId: id }, 'key revoked');
      return reply.code(204).send();
    },
  );
}
