/** The Accept header: a client that accepts none of a route's types gets 406 before the route runs. */
import { LatheError } from '../../errors.ts';
import type { App } from '../types.ts';

const JSON_TYPE = 'application/json';

export function addNegotiation(app: App): void {
  app.addHook('onRequest', async (request) => {
    const types = request.routeOptions.config.produces ?? [JSON_TYPE];
    if (request.is404 || accepts(request.headers.accept, types)) return;
    throw new LatheError(
      'not-acceptable',
      `The answer is of the type ${types.join(' or ')}; the request accepts ${request.headers.accept}`,
    );
  });
}

export function accepts(header: string | undefined, types: readonly string[]): boolean {
  if (header === undefined || header.trim() === '' || types.includes('*/*')) return true;
  return header.split(',').some((part) => {
    const [range = '', ...parameters] = part
      .trim()
      .toLowerCase()
      .split(/\s*;\s*/);
    if (parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))) return false;
    return types.some((type) => range === '*/*' || range === type || range === `${type.split('/')[0]}/*`);
  });
}
