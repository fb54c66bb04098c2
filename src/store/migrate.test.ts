/** Migrations on a database that holds rows: what waits in them must survive. */
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestPostgres, type TestPostgres } from '../../test/support/postgres.ts';
import { migrate, readMigrations } from './migrate.ts';
import { openStore } from './open.ts';
import { openSchemaEngine } from './schema-engine.ts';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.stop());

/** What `migrate` does, up to but without the named migration. */
async function migrateBefore(databaseUrl: string, name: string): Promise<void> {
  const all = await readMigrations();
  const migrationDirectories = all.migrationDirectories.filter(({ path }) => path < name);
  expect(migrationDirectories.length).toBeLessThan(all.migrationDirectories.length);
  const { engine, close } = await openSchemaEngine(databaseUrl);
  try {
    const migrationsList = { ...all, migrationDirectories };
    await engine.applyMigrations({ migrationsList, filters: { externalTables: [], externalEnums: [] } });
  } finally {
    await close();
  }
}

const QUEUED_JOBS = `
  INSERT INTO tenants (id, name) VALUES ('t', 'us');
  INSERT INTO models (id, tenant_id, name, sha256, size_bytes, description) VALUES ('m', 't', 'm', 'a', 1, '{}');
  INSERT INTO jobs (id, tenant_id, model_id, request, device, queue_deadline)
    VALUES ('job_a', 't', 'm', '{}', 'cpu', now() + interval '1 hour'),
      ('job_b', 't', 'm', '{}', 'cpu', now() + interval '1 hour');
  INSERT INTO outbox (job_id) VALUES ('job_a'), ('job_b');`;

test('typed_outbox keeps the rows that wait, as messages that the relay knows', async () => {
  const databaseUrl = await postgres.emptyDatabase();
  await migrateBefore(databaseUrl, '20261130114719_typed_outbox');
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(QUEUED_JOBS).finally(() => client.end());
  expect(await migrate(databaseUrl)).toContain('20261130114719_typed_outbox');
  const store = openStore(databaseUrl);
  try {
    const rows = await store.relay.claimOutbox(10, 60_000);
    expect(rows.map(({ kind, version, payload }) => ({ kind, version, payload }))).toEqual([
      { kind: 'job-queued', version: 1, payload: { jobId: 'job_a' } },
      { kind: 'job-queued', version: 1, payload: { jobId: 'job_b' } },
    ]);
    expect((await store.relay.queuedAmong(['job_a', 'job_b'])).map(({ id }) => id).toSorted()).toEqual([
      'job_a',
      'job_b',
    ]);
  } finally {
    await store.close();
  }
});
