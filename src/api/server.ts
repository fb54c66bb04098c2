/**
 * The API process: HTTP, and the relay from Postgres to the queue. Says "ready" to the process that started it once it
 * answers.
 */
import { Registry } from 'prom-client';
import { openArtifacts } from '../artifacts/open.ts';
import type { Config } from '../config/config.ts';
import { newId } from '../ids.ts';
import { createInspector } from '../inspection/inspector.ts';
import { BlobReferences } from '../jobs/blob-references.ts';
import { sameForEveryTenant } from '../jobs/limits.ts';
import { Relay } from '../jobs/relay.ts';
import type { Log } from '../log.ts';
import { openQueue } from '../queue/open.ts';
import { PostgresChangeFeed } from '../store/change-feed.ts';
import { migrate } from '../store/migrate.ts';
import { openStore } from '../store/open.ts';
import { buildApp } from './app.ts';
import { loadOrCreateSecret } from './home.ts';
import { KeyGenerator } from './key-generator.ts';

/** An orphan blob must be older than any upload or result that is still being written to the database. */
const MIN_ORPHAN_AGE_MS = 3600 * 1000;
const ORPHAN_SWEEP_INTERVAL_MS = 3600 * 1000;
/** Requests that are still under way at the stop get so long. */
const CLOSE_TIMEOUT_MS = 10_000;

export interface RunningServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Resolves when requests are answered. */
export async function startServer(config: Config, log: Log): Promise<RunningServer> {
  const keys = new KeyGenerator(
    config.secret ?? loadOrCreateSecret(config.home, 'secret', () => new KeyGenerator('').make().key),
  );
  const apiKey = keys.of(config.apiKey ?? loadOrCreateSecret(config.home, 'api-key', () => keys.make().key));
  const applied = await migrate(config.databaseUrl);
  if (applied.length > 0) log.info({ migrations: applied }, 'database brought up to date');
  const blobs = await openArtifacts(config);
  const store = openStore(config.databaseUrl, { connections: 15, maxAttempts: config.limits.maxAttempts });
  await store.keys.add({
    id: newId('key'),
    tenant: 'default',
    name: 'first administrator',
    role: 'administrator',
    prefix: apiKey.prefix,
    mac: apiKey.mac,
  });
  const queue = await openQueue({
    ...config,
    onError: (error) => log.warn({ error: error.message }, 'queue connection'),
  });
  const feed = new PostgresChangeFeed(config.databaseUrl);
  const blobReferences = new BlobReferences(blobs, store.usage);
  const app = await buildApp({
    store,
    queue,
    blobs,
    blobReferences,
    feed,
    keys,
    log,
    inspector: createInspector(),
    limits: config.limits,
    tenantLimits: sameForEveryTenant(config.tenantLimits),
    trustProxy: config.trustProxy,
    metrics: new Registry(),
  });
  const relay = new Relay({
    store: store.relay,
    queue,
    workers: store.workers,
    feed,
    log,
    maxAttempts: config.limits.maxAttempts,
  });
  const sweep = () =>
    blobReferences.sweep(blobs, new Date(Date.now() - MIN_ORPHAN_AGE_MS)).then(
      (removed) => removed.length > 0 && log.info({ blobs: removed.length }, 'removed blobs that nothing refers to'),
      (error: unknown) => log.warn({ error: String(error) }, 'blobs not swept'),
    );
  const sweeping = setInterval(() => void sweep(), ORPHAN_SWEEP_INTERVAL_MS);
  void sweep();
  const url = await app.listen({ host: config.host, port: config.port });
  return {
    url,
    async close() {
      clearInterval(sweeping);
      const late = setTimeout(() => app.server.closeAllConnections(), CLOSE_TIMEOUT_MS);
      // Connections whose last request was under way at the stop stay open for a next one.
      const idle = setInterval(() => app.server.closeIdleConnections(), 50);
      await app.close();
      clearTimeout(late);
      clearInterval(idle);
      await relay.stop();
      await Promise.all([queue.close(), feed.close()]);
      await Promise.all([store.close(), blobs.close()]);
    },
  };
}
