/** Limits the requests a minute of each key, or of each address where there is no key. */
import { createHash } from 'node:crypto';
import rateLimit from '@fastify/rate-limit';
import { LatheError } from '../../errors.ts';
import { bearerToken } from './authentication.ts';
import type { ApiDeps, App } from '../types.ts';

export async function addRateLimit(app: App, { limits }: ApiDeps): Promise<void> {
  await app.register(rateLimit, {
    global: false,
    max: limits.requestsPerMinute,
    timeWindow: 60_000,
    keyGenerator: (request) => {
      const key = bearerToken(request);
      return key ? createHash('sha256').update(key).digest('base64url') : request.ip;
    },
    errorResponseBuilder: (_request, { max, after }) =>
      new LatheError('rate-limited', `More than ${max} requests in a minute; try again in ${after}`),
  });
  // A hook of the scope runs before keys are looked up, so guessing keys is limited too.
  app.addHook('onRequest', app.rateLimit());
}
