/** `lathe doctor`: what this installation runs on, and for each thing missing the command that mends it. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import pg from 'pg';
import { connectionFrom, serviceUrl } from './connection.ts';
import { bytes } from './table.ts';
import type { Finding } from '../../src/contracts/diagnosis.ts';
import { ConfigError, readVariable, textOf } from '../../src/config/read.ts';
import { parseS3Url, S3_URL_FORMS } from '../../src/artifacts/s3-location.ts';
import { processEntry } from '../../src/process/entry.ts';

const MARKS: Record<Finding['state'], string> = { ok: 'ok', warning: 'note', missing: 'MISSING' };

/** Prints the findings; the exit code is 1 where something needed is missing. */
export async function doctor(options: { worker?: boolean; json?: boolean }): Promise<number> {
  const checks = [machine(), engine(), database(), queue(), artifacts(), ...(options.worker ? [] : [service()])];
  const findings = (await Promise.all(checks)).flat();
  if (options.json) console.log(JSON.stringify(findings, null, 2));
  else {
    for (const { name, value, state } of findings) console.log(`${MARKS[state].padEnd(8)}${name.padEnd(10)}${value}`);
    for (const { name, remedy } of findings) if (remedy) console.log(`\n${name}: ${remedy}`);
  }
  return findings.some(({ state }) => state === 'missing') ? 1 : 0;
}

async function machine(): Promise<Finding[]> {
  return [
    {
      name: 'machine',
      value:
        `Node ${process.versions.node}, ${process.platform}-${process.arch}, ` +
        `${availableParallelism()} cores, ${bytes(totalmem())}`,
      state: 'ok',
    },
  ];
}

/** The engine is loaded in a process of its own: a native library that crashes must not take the doctor with it. */
async function engine(): Promise<Finding[]> {
  try {
    const { path, flags } = processEntry('probe-engine');
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, path], {
      timeout: 60_000,
      maxBuffer: 1 << 20,
    });
    return JSON.parse(stdout.slice(stdout.lastIndexOf('\n[') + 1)) as Finding[];
  } catch (error) {
    return [{ name: 'engine', value: firstLine(error), state: 'missing', remedy: 'npm run setup' }];
  }
}

async function database(): Promise<Finding[]> {
  const remedy = 'start the Postgres that DATABASE_URL names, or unset DATABASE_URL to use the embedded one';
  let client: pg.Client | undefined;
  try {
    const url = readVariable(process.env, 'DATABASE_URL');
    if (url === undefined) return [embeddedPostgres()];
    client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
    await client.connect();
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
    const value = `Postgres ${rows[0]?.server_version ?? ''} at ${new URL(url).host}`;
    return [{ name: 'database', value, state: 'ok' }];
  } catch (error) {
    return [{ name: 'database', value: reasonOf(error), state: 'missing', remedy }];
  } finally {
    await client?.end().catch(() => undefined);
  }
}

const homeFolder = (name: string): string => join(resolve(readVariable(process.env, 'LATHE_HOME')), name);

function embeddedPostgres(): Finding {
  const folder = homeFolder('postgres');
  const note = existsSync(folder) ? '' : ' (made at the first start)';
  return { name: 'database', value: `embedded Postgres in ${folder}${note}`, state: 'ok' };
}

async function queue(): Promise<Finding[]> {
  const remedy = 'start the Redis that REDIS_URL names, or unset REDIS_URL to queue in Postgres';
  let redis: Redis | undefined;
  try {
    const url = readVariable(process.env, 'REDIS_URL');
    if (url === undefined) return [{ name: 'queue', value: 'in Postgres (set REDIS_URL to use Redis)', state: 'ok' }];
    redis = connectRedis(url);
    await redis.connect();
    return [await redisFinding(redis, url)];
  } catch (error) {
    return [{ name: 'queue', value: reasonOf(error), state: 'missing', remedy }];
  } finally {
    redis?.disconnect();
  }
}

function connectRedis(url: string): Redis {
  const options = { lazyConnect: true, connectTimeout: 5000, maxRetriesPerRequest: 0, retryStrategy: () => null };
  const redis = new Redis(url, options);
  redis.on('error', () => undefined);
  return redis;
}

async function redisFinding(redis: Redis, url: string): Promise<Finding> {
  const version = /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? '';
  const policy = /maxmemory_policy:(\S+)/.exec(await redis.info('memory'))?.[1] ?? '';
  if (policy === 'noeviction') return { name: 'queue', value: `Redis ${version} at ${new URL(url).host}`, state: 'ok' };
  return {
    name: 'queue',
    value: `Redis ${version} may evict jobs (maxmemory-policy ${policy})`,
    state: 'warning',
    remedy: 'redis-cli config set maxmemory-policy noeviction',
  };
}

async function artifacts(): Promise<Finding[]> {
  const url = textOf(process.env, 'LATHE_S3_URL');
  if (url === null) return [{ name: 'artifacts', value: `in ${homeFolder('artifacts')}`, state: 'ok' }];
  const location = parseS3Url(url);
  if (!location) {
    const value = 'LATHE_S3_URL is not the address of a bucket';
    return [{ name: 'artifacts', value, state: 'missing', remedy: `give ${S3_URL_FORMS}` }];
  }
  const value = `bucket ${location.bucket} of ${location.endpoint ?? 'Amazon S3'}`;
  try {
    await (await import('../../src/artifacts/s3.ts')).checkBucket(location);
    return [{ name: 'artifacts', value, state: 'ok' }];
  } catch (error) {
    const remedy = 'make the bucket, and give keys that may read and write it; or unset LATHE_S3_URL';
    return [{ name: 'artifacts', value: `${value}: ${firstLine(error)}`, state: 'missing', remedy }];
  }
}

async function service(): Promise<Finding[]> {
  let url = '';
  try {
    url = serviceUrl(process.env);
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(3000) });
    const key = hasKey() ? '' : '; no API key found (LATHE_API_KEY)';
    const value = `${url} ${response.ok ? 'is ready' : `answers ${response.status}`}${key}`;
    return [{ name: 'service', value, state: response.ok && !key ? 'ok' : 'warning' }];
  } catch (error) {
    const value = error instanceof ConfigError ? reasonOf(error) : `not running at ${url}`;
    return [{ name: 'service', value, state: 'warning', remedy: 'npm start' }];
  }
}

function hasKey(): boolean {
  try {
    return connectionFrom(process.env).apiKey.length > 0;
  } catch {
    return false;
  }
}

const reasonOf = (error: unknown): string =>
  error instanceof ConfigError ? error.problems.join('; ') : firstLine(error);

function firstLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message?: string };
  return (stderr?.trim() || message || String(error)).split('\n')[0] ?? '';
}
