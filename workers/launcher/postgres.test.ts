import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { projectRoot } from '../../src/process/entry.ts';
import { isAlive, waitForExit } from '../../src/process/liveness.ts';
import { startPostgres } from './postgres.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'lathe-postgres-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

async function ask(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows[0];
  } finally {
    await client.end();
  }
}

describe('embedded Postgres', () => {
  test('keeps its data and its port over a restart', async () => {
    const first = await startPostgres(home);
    await ask(await first.database('lathe'), 'CREATE TABLE kept AS SELECT 7 AS n');
    await first.stop();
    const second = await startPostgres(home);
    expect(second.port).toBe(first.port);
    expect(await ask(await second.database('lathe'), 'SELECT n FROM kept')).toEqual({ n: 7 });
    await second.stop();
    expect(isAlive(second.pid)).toBe(false);
  });

  test('ends with the process that started it, however that dies, and keeps what was committed', async () => {
    const built = JSON.stringify(join(projectRoot, 'dist/workers/launcher/postgres.js'));
    const script = `import { startPostgres } from ${built};
      const server = await startPostgres(${JSON.stringify(home)});
      console.log(await server.database('lathe')); setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(owner.stdout, 'data')) as [Buffer];
    await ask(line.toString().trim(), 'CREATE TABLE kept AS SELECT 7 AS n');
    const postmaster = Number(readFileSync(join(home, 'postgres/postmaster.pid'), 'utf8').split('\n')[0]);
    owner.kill('SIGKILL');
    expect(await waitForExit(postmaster, 10_000)).toBe(true);
    const again = await startPostgres(home);
    expect(await ask(await again.database('lathe'), 'SELECT n FROM kept')).toEqual({ n: 7 });
    await again.stop();
  });

  test('survives kill -9 of the server', async () => {
    const first = await startPostgres(home);
    await ask(await first.database('lathe'), 'CREATE TABLE kept AS SELECT 7 AS n');
    process.kill(Number(readFileSync(join(home, 'postgres/postmaster.pid'), 'utf8').split('\n')[0]), 'SIGKILL');
    await first.ended;
    const again = await startPostgres(home);
    expect(await ask(await again.database('lathe'), 'SELECT n FROM kept')).toEqual({ n: 7 });
    await again.stop();
  });
});
