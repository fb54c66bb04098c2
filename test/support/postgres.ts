/** A real Postgres for tests: the embedded one, in a temporary folder; each caller gets its own databases. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { startPostgres } from '../../workers/launcher/postgres.ts';

export interface TestPostgres {
  /** URL of a fresh, empty database. */
  emptyDatabase(): Promise<string>;
  stop(): Promise<void>;
}

export async function startTestPostgres(): Promise<TestPostgres> {
  const home = mkdtempSync(join(tmpdir(), 'lathe-test-postgres-'));
  const server = await startPostgres(home);
  return {
    emptyDatabase: () => server.database(`test_${randomBytes(6).toString('hex')}`),
    async stop() {
      await server.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
