/** The environment, parsed once: every problem is told at once, and nothing starts on a value that makes no sense. */
import { resolve } from 'node:path';
import { parseS3Url, S3_URL_FORMS, type S3Location } from './artifacts/s3-location.ts';
import type { Limits } from './jobs/limits.ts';

export const ENGINES = ['auto', 'tensorflow', 'wasm'] as const;
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

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
  readonly engine: (typeof ENGINES)[number];
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** Addresses of reverse proxies whose X-Forwarded-For is believed. */
  readonly trustProxy: boolean;
  readonly limits: Limits;
}

export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`The configuration is not valid:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** @throws ConfigError with all problems */
export function parseConfig(environment: NodeJS.ProcessEnv): Config {
  const read = new Reader(environment);
  const config: Config = {
    home: resolve(read.text('LATHE_HOME') ?? '.lathe'),
    host: read.text('LATHE_HOST') ?? '127.0.0.1',
    port: read.integer('LATHE_PORT', 8080, 0, 65535),
    databaseUrl:
      read.url('DATABASE_URL', ['postgresql:', 'postgres:']) ??
      read.missing('DATABASE_URL', 'the Postgres to use ("npm start" brings one along)'),
    redisUrl: read.url('REDIS_URL', ['redis:', 'rediss:']),
    s3: read.s3Url('LATHE_S3_URL'),
    apiKey: read.secret('LATHE_API_KEY', 16),
    secret: read.secret('LATHE_SECRET', 32),
    engine: read.oneOf('LATHE_ENGINE', ENGINES, 'auto'),
    logLevel: read.oneOf('LATHE_LOG_LEVEL', LOG_LEVELS, 'info'),
    trustProxy: read.oneOf('LATHE_TRUST_PROXY', ['true', 'false'] as const, 'false') === 'true',
    limits: {
      modelBytes: read.integer('LATHE_MAX_MODEL_MB', 2048, 1, 1e6) * MIB,
      datasetBytes: read.integer('LATHE_MAX_DATASET_MB', 16_384, 1, 1e7) * MIB,
      storedBytesPerTenant: read.integer('LATHE_MAX_STORED_GB', 500, 1, 1e6) * GIB,
      activeJobsPerTenant: read.integer('LATHE_MAX_ACTIVE_JOBS', 1000, 1, 1e6),
      requestsPerMinute: read.integer('LATHE_RATE_LIMIT', 6000, 1, 1e9),
      uploadsAtOnce: read.integer('LATHE_MAX_UPLOADS', 8, 1, 1000),
      inspectionsAtOnce: read.integer('LATHE_MAX_INSPECTIONS', 2, 1, 64),
      maxAttempts: read.integer('LATHE_MAX_ATTEMPTS', 5, 1, 100),
    },
  };
  if (read.problems.length > 0) throw new ConfigError(read.problems);
  return config;
}

/** Reads variables and gathers what is wrong with them; an empty one counts as not set. */
class Reader {
  readonly #environment: NodeJS.ProcessEnv;
  readonly problems: string[] = [];

  constructor(environment: NodeJS.ProcessEnv) {
    this.#environment = environment;
  }

  problem(text: string): void {
    this.problems.push(text);
  }

  text(name: string): string | null {
    const value = this.#environment[name]?.trim();
    return value ? value : null;
  }

  missing(name: string, what: string): string {
    if (this.text(name) === null) this.problem(`${name} is not set: ${what}`);
    return '';
  }

  /** The value itself is never repeated: it may hold a password. */
  url(name: string, protocols: readonly string[]): string | null {
    const value = this.text(name);
    if (value === null) return null;
    if (URL.canParse(value) && protocols.includes(new URL(value).protocol)) return value;
    this.problem(`${name} is not a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`);
    return null;
  }

  s3Url(name: string): S3Location | null {
    const value = this.text(name);
    const location = value === null ? null : parseS3Url(value);
    if (value !== null && location === null) this.problem(`${name} is no ${S3_URL_FORMS}`);
    return location;
  }

  secret(name: string, minimumLength: number): string | null {
    const value = this.text(name);
    if (value === null) return null;
    if (value.length < minimumLength)
      this.problem(`${name} has ${value.length} characters; it needs ${minimumLength} or more`);
    if (/[^\x21-\x7e]/.test(value)) this.problem(`${name} holds blanks or characters that an HTTP header cannot carry`);
    return value;
  }

  integer(name: string, fallback: number, minimum: number, maximum: number): number {
    const text = this.text(name);
    if (text === null) return fallback;
    const value = Number(text);
    if (Number.isInteger(value) && value >= minimum && value <= maximum) return value;
    this.problem(`${name} is "${text}"; it must be a whole number from ${minimum} to ${maximum}`);
    return fallback;
  }

  oneOf<T extends string>(name: string, values: readonly T[], fallback: T): T {
    const text = this.text(name);
    if (text === null) return fallback;
    const value = values.find((candidate) => candidate === text);
    if (value !== undefined) return value;
    this.problem(`${name} is "${text}"; it can be ${values.join(', ')}`);
    return fallback;
  }
}
