/**
 * Brings a database to the newest schema: every folder of prisma/migrations, once, in order, noted in
 * `_prisma_migrations`.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MigrationList } from '@prisma/schema-engine-wasm';
import pg from 'pg';
import { projectRoot } from '../process/entry.ts';
import { engineError, openSchemaEngine } from './schema-engine.ts';

/**
 * Any number that no other program locks on this database: processes that start together migrate one after the other.
 */
const MIGRATION_LOCK = 0x1a7e_0001;
const migrationsFolder = join(projectRoot, 'prisma', 'migrations');

/**
 * @returns names of the migrations that were applied now
 * @throws Error with the name of a migration that fails; it is then noted as failed and nothing else is tried
 */
export async function migrate(databaseUrl: string): Promise<string[]> {
  const lock = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 });
  await lock.connect();
  try {
    await lock.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    return await applyAll(databaseUrl, lock);
  } finally {
    await lock.end();
  }
}

async function applyAll(databaseUrl: string, connection: pg.Client): Promise<string[]> {
  const migrationsList = await readMigrations();
  if (await isCurrent(connection, migrationsList)) return [];
  const { engine, close } = await openSchemaEngine(databaseUrl);
  try {
    const { appliedMigrationNames } = await engine.applyMigrations({
      migrationsList,
      filters: { externalTables: [], externalEnums: [] },
    });
    return appliedMigrationNames;
  } catch (error) {
    throw engineError(error);
  } finally {
    await close();
  }
}

/** Whether all are noted as finished: the common case, told without loading the engine. */
async function isCurrent(connection: pg.Client, { migrationDirectories }: MigrationList): Promise<boolean> {
  const { rows } = await connection.query<{ exists: boolean }>(
    `SELECT to_regclass('_prisma_migrations') IS NOT NULL AS exists`,
  );
  if (!rows[0]?.exists) return false;
  const finished = await connection.query<{ migration_name: string }>(
    'SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL',
  );
  const names = new Set(finished.rows.map((row) => row.migration_name));
  return migrationDirectories.every(({ path }) => names.has(path));
}

export async function readMigrations(): Promise<MigrationList> {
  const entries = await readdir(migrationsFolder, { withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
  const directories = names.map(async (path) => {
    const value = await readFile(join(migrationsFolder, path, 'migration.sql'), 'utf8');
    return { path, migrationFile: { path: 'migration.sql', content: { tag: 'ok' as const, value } } };
  });
  return {
    baseDir: migrationsFolder,
    lockfile: {
      path: 'migration_lock.toml',
      content: await readFile(join(migrationsFolder, 'migration_lock.toml'), 'utf8'),
    },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all(directories),
  };
}
