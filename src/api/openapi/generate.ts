/** openapi.yaml, without a database or queue: the routes are registered and described, none is called. */
import { Registry } from 'prom-client';
import { parseConfig } from '../../config/config.ts';
import { sameForEveryTenant } from '../../jobs/limits.ts';
import { createLog } from '../../log.ts';
import { buildApp } from '../app.ts';
import { KeyGenerator } from '../key-generator.ts';

/** Whatever a route takes from its dependencies when it is registered. */
const uncalled: never = new Proxy({}, { get: () => uncalled }) as never;

export async function generateDocument(): Promise<{ yaml: string; document: Record<string, unknown> }> {
  const { limits, tenantLimits, trustProxy } = parseConfig({ DATABASE_URL: 'postgresql://none' });
  const app = await buildApp({
    store: uncalled,
    queue: uncalled,
    blobs: uncalled,
    blobReferences: uncalled,
    inspector: uncalled,
    feed: uncalled,
    keys: new KeyGenerator(''),
    limits,
    tenantLimits: sameForEveryTenant(tenantLimits),
    trustProxy,
    log: createLog('api', 'silent'),
    metrics: new Registry(),
  });
  try {
    return { yaml: app.swagger({ yaml: true }), document: app.swagger() as unknown as Record<string, unknown> };
  } finally {
    await app.close();
  }
}
