/**
 * The API process: HTTP, and the relay from Postgres to the queue. Says "ready" to the process that started it once it
 * answers.
 */
import { Registry } from 'prom-client';
import { openArtifacts } from '../artifacts/open.ts';
import type { Config } from '../config/config.ts';
import { newId } from '../ids.ts';
import { createInspector } from '../inspection/inspector.ts';
import { BlobReferences, type BlobListing } from '../jobs/blob-references.ts';
import { sameForEveryTenant } from '../jobs/limits.ts';
import { Relay } from '../jobs/relay.ts';
import type { Log } from '../log.ts';
import { openQueue } from '../queue/open.ts';
import { PostgresChangeFeed } from '../store/change-feed.ts';
import { migrate } from '../store/migrate.ts';
import { openStore, type Store } from '../store/open.ts';
import { buildApp } from './app.ts';
import { loadOrCreateSecret } from './home.ts';
import { KeyGenerator, type GeneratedKey } from './key-generator.ts';
import type { App } from './types.ts';

/** An orphan blob must be older than any upload or result that is still being written to the database. */
const MIN_ORPHAN_AGE_MS = 3600 * 1000;
const ORPHAN_SWEEP_INTERVAL_MS = 3600 * 1000;
/** How long requests in progress may take to finish when the server stops. */
const CLOSE_TIMEOUT_MS = 10_000;

export interface RunningServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Resolves when requests are answered. */
export async function startServer(config: Config, log: Log): Promise<RunningServer> {
  const { keys, apiKey } = keysOf(config);
  await migrateAndLog(config, log);
  const { maxAttempts } = config.limits;
  const blobs = await openArtifacts(config);
  const store = openStore(config.databaseUrl, { connections: 15, maxAttempts });
  await addFirstAdministrator(store, apiKey);
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
  const relay = new Relay({ store: store.relay, queue, workers: store.workers, feed, log, maxAttempts });
  const sweeping = sweepOrphans(blobReferences, blobs, log);
  const url = await app.listen({ host: config.host, port: config.port });
  return {
    url,
    async close() {
      clearInterval(sweeping);
      await closeApp(app);
      await relay.stop();
      await Promise.all([queue.close(), feed.close()]);
      await Promise.all([store.close(), blobs.close()]);
    },
  };
}

async function migrateAndLog({ databaseUrl }: Config, log: Log): Promise<void> {
  const migrations = await migrate(databaseUrl);
  if (migrations.length > 0) log.info({ migrations }, 'database brought up to date');
}

/** What hashes API keys, and the first administrator's key. */
function keysOf({ secret, apiKey, home }: Config): { keys: KeyGenerator; apiKey: GeneratedKey } {
  const keys = new KeyGenerator(secret ?? loadOrCreateSecret(home, 'secret', () => new KeyGenerator('').make().key));
  return { keys, apiKey: keys.of(apiKey ?? loadOrCreateSecret(home, 'api-key', () => keys.make().key)) };
}

/** An existing one is left unchanged. */
async function addFirstAdministrator(store: Store, { prefix, mac }: GeneratedKey): Promise<void> {
  const id = newId('key');
  await store.keys.add({ id, tenant: 'default', name: 'first administrator', role: 'administrator', prefix, mac });
}

/** Now and at intervals. @returns the timer, to be cleared */
function sweepOrphans(references: BlobReferences, blobs: BlobListing, log: Log): NodeJS.Timeout {
  const sweep = () =>
    references.sweep(blobs, new Date(Date.now() - MIN_ORPHAN_AGE_MS)).then(
      (removed) => removed.length > 0 && log.info({ blobs: removed.length }, 'removed blobs that nothing refers to'),
      (error: unknown) => log.warn({ error: String(error) }, 'blobs not swept'),
    );
  void sweep();
  return setInterval(() => void sweep(), ORPHAN_SWEEP_INTERVAL_MS);
}

async function closeApp(app: App): Promise<void> {
  const late = setTimeout(() => app.server.closeAllConnections(), CLOSE_TIMEOUT_MS);
  // Connections that were busy at the stop become idle later; they are closed then.
  const idle = setInterval(() => app.server.closeIdleConnections(), 50);
  await app.close();
  clearTimeout(late);
  clearInterval(idle);
}
