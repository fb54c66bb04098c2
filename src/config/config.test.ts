import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError, parseConfig } from './config.ts';

const DATABASE_URL = 'postgresql://lathe:secret@127.0.0.1:5432/lathe';

function problemsOf(environment: NodeJS.ProcessEnv): readonly string[] {
  try {
    parseConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
  }
  return [];
}

describe('the configuration', () => {
  test('needs a database alone', () => {
    expect(parseConfig({ DATABASE_URL })).toMatchObject({
      home: resolve('.lathe'),
      host: '127.0.0.1',
      port: 8080,
      databaseUrl: DATABASE_URL,
      redisUrl: null,
      apiKey: null,
      engine: 'auto',
    });
  });

  test('counts an empty variable as not set', () => {
    expect(parseConfig({ DATABASE_URL, REDIS_URL: '', LATHE_PORT: ' ', LATHE_API_KEY: '' })).toMatchObject({
      redisUrl: null,
      port: 8080,
      apiKey: null,
    });
  });

  test('tells every problem at once', () => {
    const problems = problemsOf({
      LATHE_PORT: '99999',
      REDIS_URL: 'http://x',
      LATHE_ENGINE: 'steam',
      LATHE_S3_URL: 'ftp://bucket',
      LATHE_API_KEY: 'short',
      LATHE_MAX_MODEL_MB: '1.5',
    });
    expect(problems.map((problem) => problem.split(' ')[0]).toSorted()).toEqual([
      'DATABASE_URL',
      'LATHE_API_KEY',
      'LATHE_ENGINE',
      'LATHE_MAX_MODEL_MB',
      'LATHE_PORT',
      'LATHE_S3_URL',
      'REDIS_URL',
    ]);
  });

  test('names the engines that there are', () => {
    expect(problemsOf({ DATABASE_URL, LATHE_ENGINE: 'webgpu' })).toEqual([
      'LATHE_ENGINE is "webgpu"; it can be auto, tensorflow, wasm',
    ]);
  });

  test('never repeats a secret', () => {
    const problems = problemsOf({ DATABASE_URL: 'mysql://user:hunter2@host/db', LATHE_API_KEY: 'hunter2' });
    expect(problems).toHaveLength(2);
    expect(problems.join()).not.toContain('hunter2');
  });
});
