/**
 * The real HTTP application on real Postgres and a real queue, in this process; no worker takes its jobs: tests are the
 * worker. Every answer is held against the OpenAPI document, and noted.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { buildApp } from '../../src/api/app.ts';
import { KeyGenerator } from '../../src/api/key-generator.ts';
import type { App } from '../../src/api/types.ts';
import type { ArtifactStore } from '../../src/artifacts/artifact-store.ts';
import { openLocalBlobs } from '../../src/artifacts/local.ts';
import { parseConfig } from '../../src/config/config.ts';
import { newId } from '../../src/ids.ts';
import { createInspector } from '../../src/inspection/inspector.ts';
import { BlobReferences } from '../../src/jobs/blob-references.ts';
import { sameForEveryTenant, type ServiceLimits } from '../../src/jobs/limits.ts';
import type { Inspector } from '../../src/jobs/ports/inspector.ts';
import type { JobQueue } from '../../src/jobs/ports/queue.ts';
import type { TenantLimits, TenantLimitSource } from '../../src/jobs/ports/tenant-limits.ts';
import { createLog } from '../../src/log.ts';
import { openQueue } from '../../src/queue/open.ts';
import { PostgresChangeFeed } from '../../src/store/change-feed.ts';
import { migrate } from '../../src/store/migrate.ts';
import { openStore, type Store } from '../../src/store/open.ts';

export interface TestApi {
  readonly url: string;
  readonly app: App;
  readonly store: Store;
  readonly queue: JobQueue;
  readonly blobs: ArtifactStore;
  readonly feed: PostgresChangeFeed;
  /** Folder of the blobs. */
  readonly folder: string;
  /** An administrator's key. */
  readonly key: string;
  /** A key of a tenant of that name. */
  memberOf(tenant: string): Promise<string>;
  close(): Promise<void>;
}

export interface TestApiOptions {
  readonly databaseUrl: string;
  readonly redisUrl?: string | null;
  readonly limits?: Partial<ServiceLimits>;
  /** Of every tenant, or asked for each. */
  readonly tenantLimits?: Partial<TenantLimits> | TenantLimitSource;
  readonly inspector?: Inspector;
}

/** Keys the MACs of stored API keys. */
export const TEST_SECRET = 'a secret of the tests';

export async function startApi({
  databaseUrl,
  redisUrl = null,
  limits = {},
  tenantLimits = {},
  inspector = createInspector(),
}: TestApiOptions): Promise<TestApi> {
  await migrate(databaseUrl);
  const folder = mkdtempSync(join(tmpdir(), 'lathe-api-'));
  const config = parseConfig({ DATABASE_URL: databaseUrl, LATHE_LOG_LEVEL: process.env.LATHE_LOG_LEVEL ?? 'fatal' });
  const store = openStore(databaseUrl);
  const queue = await openQueue({ redisUrl, databaseUrl });
  const blobs = await openLocalBlobs(folder);
  const feed = new PostgresChangeFeed(databaseUrl);
  const keys = new KeyGenerator(TEST_SECRET);
  const addKey = async (tenant: string, role: 'administrator' | 'member') => {
    const { key, prefix, mac } = keys.make();
    await store.keys.add({ id: newId('key'), tenant, name: tenant, role, prefix, mac });
    return key;
  };
  const app = await buildApp({
    store,
    queue,
    blobs,
    feed,
    keys,
    inspector,
    blobReferences: new BlobReferences(blobs, store.usage),
    limits: { ...config.limits, ...limits },
    tenantLimits:
      'limitsOf' in tenantLimits ? tenantLimits : sameForEveryTenant({ ...config.tenantLimits, ...tenantLimits }),
    trustProxy: false,
    log: createLog('api', config.logLevel),
    metrics: new Registry(),
  });
  return {
    app,
    store,
    queue,
    blobs,
    feed,
    folder,
    url: await app.listen({ host: '127.0.0.1', port: 0 }),
    key: await addKey('default', 'administrator'),
    memberOf: (tenant) => addKey(tenant, 'member'),
    async close() {
      await app.close();
      await Promise.all([queue.close(), feed.close()]);
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
