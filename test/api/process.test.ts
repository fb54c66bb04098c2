/** The API as a process: what stops its start, what it makes in its home folder, how it ends. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { processEntry } from '../../src/process/entry.ts';
import { freePort } from '../../workers/ports.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

let postgres: TestPostgres;
let home: string;
beforeAll(async () => {
  postgres = await startTestPostgres();
  home = mkdtempSync(join(tmpdir(), 'lathe-process-'));
});
afterAll(async () => {
  await postgres?.stop();
  rmSync(home, { recursive: true, force: true });
});

interface Started {
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  readonly ended: Promise<number | null>;
  stderr(): string;
}

function start(environment: Record<string, string>): Started {
  const { path, flags } = processEntry('api');
  const child = spawn(process.execPath, [...flags, path], {
    env: { PATH: process.env.PATH, LATHE_HOME: home, LATHE_LOG_LEVEL: 'error', ...environment },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return {
    child,
    stderr: () => stderr,
    ready: new Promise((resolve) => child.on('message', (message) => message === 'ready' && resolve())),
    // after disconnect() Node emits no "close",
    ended: new Promise((resolve) => child.once('exit', (code) => resolve(code))),
  };
}

describe('the API process', () => {
  test('says all that is wrong with its environment, and ends', async () => {
    const { ended, stderr } = start({ LATHE_PORT: 'eighty', LATHE_S3_URL: 'ftp://bucket' });
    expect(await ended).toBe(1);
    for (const name of ['DATABASE_URL', 'LATHE_PORT', 'LATHE_S3_URL']) expect(stderr()).toContain(name);
    expect(stderr()).not.toContain('    at ');
  });

  test('makes a key that only its user can read, and keeps it', async () => {
    const [port, databaseUrl] = [await freePort(), await postgres.emptyDatabase()];
    const models = (key: string) =>
      fetch(`http://127.0.0.1:${port}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    const first = start({ DATABASE_URL: databaseUrl, LATHE_PORT: `${port}` });
    await first.ready;
    const key = readFileSync(join(home, 'api-key'), 'utf8').trim();
    expect(statSync(join(home, 'api-key')).mode & 0o777).toBe(0o600);
    expect(statSync(join(home, 'secret')).mode & 0o777).toBe(0o600);
    expect((await models(key)).status).toBe(200);
    first.child.kill('SIGTERM');
    expect(await first.ended).toBe(0);
    const second = start({
      DATABASE_URL: databaseUrl,
      LATHE_PORT: `${port}`,
      LATHE_API_KEY: 'a-key-of-our-own-choice',
    });
    await second.ready;
    expect((await models(key)).status).toBe(200);
    expect((await models('a-key-of-our-own-choice')).status).toBe(200);
    second.child.disconnect(); // as when the launcher dies
    expect(await second.ended).toBe(0);
  });

  test('ends requests that are under way before it ends itself', async () => {
    const [port, databaseUrl] = [await freePort(), await postgres.emptyDatabase()];
    const { child, ready, ended } = start({ DATABASE_URL: databaseUrl, LATHE_PORT: `${port}` });
    await ready;
    const key = readFileSync(join(home, 'api-key'), 'utf8').trim();
    const upload = fetch(`http://127.0.0.1:${port}/v1/datasets?target=b`, {
      method: 'POST',
      body: 'a,b\n1,x\n2,y\n3,x\n4,y\n',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'text/csv' },
    });
    await new Promise((resolve) => setTimeout(resolve, 150)); // the parser's process takes longer to start
    child.kill('SIGTERM');
    expect((await upload).status).toBe(201);
    expect(await ended).toBe(0);
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow();
  });
});
