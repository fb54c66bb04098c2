/** The migrations lead to prisma/schema.prisma: compared as Postgres itself describes the two databases. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectRoot } from '../../src/process/entry.ts';
import { migrate } from '../../src/store/migrate.ts';
import { schemaDifference } from '../../src/store/schema-difference.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.stop());

const CATALOGUE = `
  SELECT 'column ' || table_name || '.' || column_name || ' ' || udt_name || ' ' || is_nullable || ' ' ||
    coalesce(column_default, '') AS line
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_prisma_migrations'
  UNION ALL SELECT 'index ' || indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> '_prisma_migrations'
  UNION ALL SELECT 'constraint ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> '_prisma_migrations'
  UNION ALL SELECT 'enum ' || typname || '.' || enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid`;

async function ask<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

const describeDatabase = async (url: string) =>
  (await ask<{ line: string }>(url, CATALOGUE)).map(({ line }) => line).sort();

test('lead to the schema', async () => {
  const [migrated, direct] = [await postgres.emptyDatabase(), await postgres.emptyDatabase()];
  const applied = await migrate(migrated);
  expect(applied.length).toBeGreaterThan(0);
  const sql = await schemaDifference(direct, null, readFileSync(join(projectRoot, 'prisma/schema.prisma'), 'utf8'));
  await ask(direct, sql as string);
  const lines = await describeDatabase(migrated);
  expect(lines.length).toBeGreaterThan(100);
  expect(lines).toEqual(await describeDatabase(direct));
});

test('are applied once, also by processes that start together', async () => {
  const url = await postgres.emptyDatabase();
  const applied = await Promise.all([migrate(url), migrate(url), migrate(url)]);
  expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
  expect(await migrate(url)).toEqual([]);
  const rows = await ask<{ finished: boolean }>(
    url,
    'SELECT finished_at IS NOT NULL AS finished FROM _prisma_migrations',
  );
  expect(rows.length).toBe(applied.flat().length);
  expect(rows.every(({ finished }) => finished)).toBe(true);
});
