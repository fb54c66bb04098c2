/** The service's configuration: every problem is told at once, and nothing starts on a value that makes no sense. */
import { resolve } from 'node:path';
import { parseS3Url, type S3Location } from '../artifacts/s3-location.ts';
import type { EngineChoice } from '../contracts/engine.ts';
import type { ServiceLimits } from '../jobs/limits.ts';
import type { TenantLimits } from '../jobs/ports/tenant-limits.ts';
import { ConfigError, problemOf, readVariables, textOf } from './read.ts';
import type { VariableName, Variables } from './variables.ts';

export { ConfigError } from './read.ts';

export interface Config {
  readonly home: string;
  readonly host: string;
  readonly port: number;
  readonly databaseUrl: string;
  /** `null`: the queue is in Postgres. */
  readonly redisUrl: string | null;
  /** `null`: artifacts are on this machine's disk. */
  readonly s3: S3Location | null;
  /** The first administrator's key; `null`: one is made and stored in the home folder. */
  readonly apiKey: string | null;
  /** Keys the HMAC of stored API keys; `null`: one is made and stored in the home folder. */
  readonly secret: string | null;
  readonly engine: EngineChoice;
  readonly logLevel: Variables['LATHE_LOG_LEVEL'];
  /** Whether to believe the X-Forwarded-For of a reverse proxy. */
  readonly trustProxy: boolean;
  readonly limits: ServiceLimits;
  /** Of every tenant. */
  readonly tenantLimits: TenantLimits;
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;

const NAMES = [
  'LATHE_HOME',
  'LATHE_HOST',
  'LATHE_PORT',
  'DATABASE_URL',
  'REDIS_URL',
  'LATHE_S3_URL',
  'LATHE_API_KEY',
  'LATHE_SECRET',
  'LATHE_ENGINE',
  'LATHE_LOG_LEVEL',
  'LATHE_TRUST_PROXY',
  'LATHE_MAX_MODEL_MB',
  'LATHE_MAX_DATASET_MB',
  'LATHE_MAX_STORED_GB',
  'LATHE_MAX_ACTIVE_JOBS',
  'LATHE_RATE_LIMIT',
  'LATHE_MAX_UPLOADS',
  'LATHE_MAX_INSPECTIONS',
  'LATHE_MAX_ATTEMPTS',
] as const satisfies readonly VariableName[];

/** @throws ConfigError with all problems */
export function parseConfig(environment: NodeJS.ProcessEnv): Config {
  requireDatabase(environment);
  const values = readVariables(environment, NAMES);
  return {
    home: resolve(values.LATHE_HOME),
    host: values.LATHE_HOST,
    port: values.LATHE_PORT,
    databaseUrl: values.DATABASE_URL ?? '',
    redisUrl: values.REDIS_URL ?? null,
    s3: values.LATHE_S3_URL === undefined ? null : parseS3Url(values.LATHE_S3_URL),
    apiKey: values.LATHE_API_KEY ?? null,
    secret: values.LATHE_SECRET ?? null,
    engine: values.LATHE_ENGINE,
    logLevel: values.LATHE_LOG_LEVEL,
    trustProxy: values.LATHE_TRUST_PROXY,
    limits: serviceLimits(values),
    tenantLimits: tenantLimits(values),
  };
}

function requireDatabase(environment: NodeJS.ProcessEnv): void {
  if (textOf(environment, 'DATABASE_URL') !== null) return;
  const missing = 'DATABASE_URL is not set; it must name the Postgres to use ("npm start" brings one along)';
  throw new ConfigError([missing, ...NAMES.flatMap((name) => problemOf(environment, name) ?? [])]);
}

type Values = Pick<Variables, (typeof NAMES)[number]>;

function tenantLimits(values: Values): TenantLimits {
  return {
    modelBytes: values.LATHE_MAX_MODEL_MB * MIB,
    datasetBytes: values.LATHE_MAX_DATASET_MB * MIB,
    storedBytes: values.LATHE_MAX_STORED_GB * GIB,
    activeJobs: values.LATHE_MAX_ACTIVE_JOBS,
  };
}

function serviceLimits(values: Values): ServiceLimits {
  return {
    requestsPerMinute: values.LATHE_RATE_LIMIT,
    uploadsAtOnce: values.LATHE_MAX_UPLOADS,
    inspectionsAtOnce: values.LATHE_MAX_INSPECTIONS,
    maxAttempts: values.LATHE_MAX_ATTEMPTS,
  };
}
