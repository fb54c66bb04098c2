/**
 * `node scripts/prisma-migration.mjs NAME`: writes prisma/migrations/DATE_NAME/migration.sql, which leads from the
 * schema as the last migration left it (prisma/migrations/schema.prisma) to prisma/schema.prisma. Read it before it is
 * committed.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from './build.mjs';
import { importBuilt, root } from './lib/built.mjs';

const name = process.argv[2];
if (!/^[a-z][a-z0-9_]*$/.test(name ?? ''))
  throw new Error('usage: node scripts/prisma-migration.mjs NAME (lower case, underscores)');

const lastPath = join(root, 'prisma', 'migrations', 'schema.prisma');
await build();
const { startPostgres } = await importBuilt('workers/launcher/postgres.js');
const { schemaDifference } = await importBuilt('src/store/schema-difference.js');
const home = mkdtempSync(join(tmpdir(), 'lathe-migration-'));
const postgres = await startPostgres(home);
try {
  const from = existsSync(lastPath) ? readFileSync(lastPath, 'utf8') : null;
  const to = readFileSync(join(root, 'prisma', 'schema.prisma'), 'utf8');
  const sql = await schemaDifference(await postgres.database('scratch'), from, to);
  if (sql === null) console.log('The migrations already lead to the schema.');
  else write(sql, to);
} finally {
  await postgres.stop();
  rmSync(home, { recursive: true, force: true });
}

function write(sql, schema) {
  const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  const folder = join(root, 'prisma', 'migrations', `${stamp}_${name}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'migration.sql'), sql);
  writeFileSync(lastPath, schema);
  console.log(folder);
}
