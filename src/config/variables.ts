/**
 * Every environment variable of the service, its workers and its command line: type, default, allowed values and
 * meaning. docs/configuration.md is written from this.
 */
import { Type, type Static, type TOptional, type TString } from 'typebox';
import { parseS3Url, S3_URL_FORMS } from '../artifacts/s3-location.ts';
import { ENGINE_CHOICES } from '../contracts/engine.ts';
import { DEFAULT_MAX_ATTEMPTS } from '../jobs/limits.ts';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** What the messages and the documentation say about a variable, beside its JSON Schema. */
export interface VariableNotes {
  readonly description: string;
  /** What a value must be, where its type does not say it. */
  readonly allowed?: string;
  /** The value may hold a password: no message repeats it. */
  readonly secret?: true;
  /** What holds without the variable, where that is no constant. */
  readonly otherwise?: string;
}

const text = (notes: VariableNotes & { default?: string }) => Type.String({ ...notes });
const integer = (minimum: number, maximum: number, fallback: number, description: string) =>
  Type.Integer({ minimum, maximum, default: fallback, description });
const positive = (notes: VariableNotes & { default?: number }) => Type.Number({ exclusiveMinimum: 0, ...notes });

function checked(isAllowed: (value: string) => boolean, notes: VariableNotes): TOptional<TString> {
  return Type.Optional(Type.Refine(Type.String({ ...notes }), isAllowed));
}

function url(schemes: readonly string[], notes: VariableNotes): TOptional<TString> {
  const allowed = `a URL that starts with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`;
  const isAllowed = (value: string) => URL.canParse(value) && schemes.includes(new URL(value).protocol.slice(0, -1));
  return checked(isAllowed, { ...notes, allowed });
}

/** What an HTTP header can carry. */
function key(minLength: number, notes: VariableNotes): TOptional<TString> {
  const pattern = new RegExp(`^[\\x21-\\x7e]{${minLength},}$`);
  const allowed = `${minLength} or more visible ASCII characters without blanks`;
  return checked((value) => pattern.test(value), { ...notes, allowed, secret: true });
}

export const VARIABLES = Type.Object({
  LATHE_HOME: text({ default: '.lathe', description: 'Folder of the database, artifacts, scratch files and logs' }),
  LATHE_HOST: text({ default: '127.0.0.1', description: 'Address on which the API listens' }),
  LATHE_PORT: integer(0, 65535, 8080, 'Port of the API; 0: any free one'),
  LATHE_URL: url(['http', 'https'], {
    description: 'Service that the command line talks to',
    otherwise: 'LATHE_PORT of this machine',
  }),
  DATABASE_URL: url(['postgresql', 'postgres'], {
    description: 'Postgres to use',
    otherwise: '"npm start" brings one along',
    secret: true,
  }),
  REDIS_URL: url(['redis', 'rediss'], {
    description: 'Redis that holds the queue',
    otherwise: 'the queue is in Postgres',
    secret: true,
  }),
  LATHE_S3_URL: checked((value) => parseS3Url(value) !== null, {
    description: 'Bucket that holds the artifacts',
    otherwise: 'artifacts are in LATHE_HOME',
    allowed: S3_URL_FORMS,
    secret: true,
  }),
  LATHE_API_KEY: key(16, {
    description: "The first administrator's key, and the key that the command line shows",
    otherwise: 'generated, and stored in LATHE_HOME/api-key',
  }),
  LATHE_SECRET: key(32, {
    description: 'Keys the HMAC under which API keys are stored',
    otherwise: 'generated, and stored in LATHE_HOME/secret',
  }),
  LATHE_ENGINE: Type.Enum(ENGINE_CHOICES, { default: 'auto', description: 'Engine that computes' }),
  LATHE_LOG_LEVEL: Type.Enum(LOG_LEVELS, { default: 'info', description: 'Least severe level that is logged' }),
  LATHE_TRUST_PROXY: Type.Boolean({
    default: false,
    description: 'Whether to believe X-Forwarded-For; only behind a reverse proxy that sets it',
  }),
  LATHE_MAX_MODEL_MB: integer(1, 1e6, 2048, 'Largest model, in MiB'),
  LATHE_MAX_DATASET_MB: integer(1, 1e7, 16_384, 'Largest dataset, in MiB'),
  LATHE_MAX_STORED_GB: integer(1, 1e6, 500, 'Models, datasets and artifacts of one tenant together, in GiB'),
  LATHE_MAX_ACTIVE_JOBS: integer(1, 1e6, 1000, 'Jobs of one tenant that are queued or running'),
  LATHE_RATE_LIMIT: integer(1, 1e9, 6000, 'Requests a minute of one key, or of one address without a key'),
  LATHE_MAX_UPLOADS: integer(1, 1000, 8, 'Uploads at a time'),
  LATHE_MAX_INSPECTIONS: integer(1, 64, 2, 'Uploaded files that are parsed at a time'),
  LATHE_MAX_ATTEMPTS: integer(1, 100, DEFAULT_MAX_ATTEMPTS, 'Attempts of a job before it fails with `worker-lost`'),
  LATHE_POOLS: Type.Optional(
    Type.Array(Type.Enum(['cpu', 'gpu']), {
      minItems: 1,
      description: 'Pools that the supervisor serves',
      otherwise: 'cpu, and gpu where the engine sees one',
    }),
  ),
  LATHE_SLOTS: positive({ default: 1, description: 'Jobs at a time, for each pool' }),
  LATHE_THREADS: Type.Optional(
    positive({
      description: 'Threads of one job process',
      otherwise: "the machine's cores, divided by LATHE_SLOTS",
    }),
  ),
  LATHE_JOB_MEMORY_MB: Type.Optional(
    positive({
      description: 'Memory of one job process, in MiB',
      otherwise: "the machine's memory less 1.5 GiB, divided by LATHE_SLOTS; at least 1 GiB",
    }),
  ),
  LATHE_LEASE_SECONDS: positive({ default: 15, description: 'How long a claim lasts without a heartbeat' }),
  LATHE_STALL_SECONDS: positive({
    default: 900,
    description: 'A job process that is silent for longer counts as hung',
  }),
  LATHE_LATENCY_SECONDS: positive({
    default: 1.5,
    description: 'Longest time for measuring the latency of one file; at least ten runs are measured',
  }),
  LATHE_HEALTH_FILE: Type.Optional(
    text({
      description: 'File that the supervisor writes while the database answers, for health checks',
      otherwise: 'none is written',
    }),
  ),
});

export type Variables = Static<typeof VARIABLES>;
export type VariableName = keyof Variables;
