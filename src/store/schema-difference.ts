/**
 * The SQL that leads from one schema.prisma to another: for writing migrations, and for the test that they lead to the
 * schema.
 */
import { openSchemaEngine } from './schema-engine.ts';

/**
 * The engine's own comparison with a live database fails on Postgres 18 ("char" columns of the catalogue), so schemas
 * are compared as texts.
 * @param databaseUrl any database: the engine wants a connection
 * @param from text of a schema; `null`: an empty database
 * @returns `null` where there is no difference
 */
export async function schemaDifference(databaseUrl: string, from: string | null, to: string): Promise<string | null> {
  const target = { path: 'schema.prisma', content: to };
  const { engine, close } = await openSchemaEngine(databaseUrl, target);
  try {
    const { stdout } = await engine.diff({
      from:
        from === null
          ? { tag: 'empty' }
          : { tag: 'schemaDatamodel', files: [{ path: 'schema.prisma', content: from }] },
      to: { tag: 'schemaDatamodel', files: [target] },
      script: true,
      exitCode: null,
      filters: { externalTables: [], externalEnums: [] },
    });
    return stdout === null || /^\s*(--.*)?\s*$/.test(stdout) ? null : stdout;
  } finally {
    await close();
  }
}
