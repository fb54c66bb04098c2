/** Authenticates each request under /v1 by its bearer key. */
import type { FastifyRequest } from 'fastify';
import { LatheError } from '../../errors.ts';
import type { Principal } from '../../jobs/ports/api-side.ts';
import type { ApiDeps, App } from '../types.ts';

const BEARER = /^Bearer +([\x21-\x7e]+) *$/i;

export function addAuthentication(app: App, { store, keys }: ApiDeps): void {
  app.decorateRequest('principal', null as unknown as Principal);
  app.addHook('onRequest', async (request) => {
    const key = bearerToken(request);
    if (!key) throw new LatheError('unauthorized', 'Send an API key as "Authorization: Bearer KEY"');
    const principal = await store.keys.authenticate(keys.mac(key));
    if (!principal) throw new LatheError('unauthorized', 'The API key is not known, or was revoked');
    request.principal = principal;
  });
}

export function bearerToken(request: FastifyRequest): string | null {
  return BEARER.exec(request.headers.authorization ?? '')?.[1] ?? null;
}

/** For routes that only administrators may use. */
export async function requireAdministrator(request: FastifyRequest): Promise<void> {
  if (request.principal.role !== 'administrator')
    throw new LatheError('forbidden', "Only an administrator's key may do that");
}
