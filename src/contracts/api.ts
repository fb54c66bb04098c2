/** What the API answers. A schema with a `title` becomes a component of openapi.yaml. */
import { Type, type Static, type TSchema } from 'typebox';
import { ERRORS, type ErrorCode } from '../errors.ts';
import { DatasetDescription } from './dataset.ts';
import { DEVICES, JobRequest } from './job-request.ts';
import { JOB_STATES } from './job-states.ts';
import { ModelDescription } from './model.ts';
import { Report, ReportWarning } from './report.ts';

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const Time = Type.String({ format: 'date-time' });
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$', description: 'lower-case hex' });
const Bytes = Type.Integer({ minimum: 0 });
const Share = Type.Number({ minimum: 0, maximum: 1 });

export const JobState = Type.Enum(JOB_STATES, { title: 'JobState' });

const { format: modelFormat, ...modelProperties } = ModelDescription.properties;
export const Model = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    format: modelFormat,
    sha256: Sha256,
    sizeBytes: Bytes,
    ...modelProperties,
    createdAt: Time,
  },
  { title: 'Model' },
);
export type Model = Static<typeof Model>;

const { format: datasetFormat, ...datasetProperties } = DatasetDescription.properties;
export const Dataset = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    format: datasetFormat,
    sha256: Sha256,
    sizeBytes: Bytes,
    ...datasetProperties,
    options: Type.Record(Type.String(), Type.String(), { description: 'how the file is read, as given at the upload' }),
    createdAt: Time,
  },
  { title: 'Dataset' },
);
export type Dataset = Static<typeof Dataset>;

export const Artifact = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    format: Type.String(),
    sizeBytes: Bytes,
    sha256: Sha256,
    job: Type.String(),
    model: Type.String(),
    step: nullable(Type.Integer({ description: 'index of the step that made it; null: of the job as a whole' })),
    createdAt: Time,
  },
  { title: 'Artifact' },
);
export type Artifact = Static<typeof Artifact>;

export const JobStep = Type.Object(
  {
    technique: Type.String(),
    state: Type.Enum(['pending', 'running', 'succeeded', 'failed', 'skipped']),
    progress: Share,
    metrics: Type.Record(Type.String(), Type.Number(), {
      description: 'last value by name; the course of them is in the events and in /metrics of the job',
    }),
    warnings: Type.Array(ReportWarning),
    startedAt: nullable(Time),
    endedAt: nullable(Time),
  },
  { title: 'JobStep' },
);

const CODES = Object.keys(ERRORS) as ErrorCode[];
export const ERROR_CLASSES = ['request', 'input', 'limit', 'training', 'service'] as const;

export const JobError = Type.Object(
  {
    code: Type.Enum(CODES),
    message: Type.String(),
    class: Type.Enum(ERROR_CLASSES, {
      description: 'who can mend it: the request, the uploaded files, a limit, the training settings, or the service',
    }),
    retryable: Type.Boolean({ description: 'the same request may succeed at another time' }),
  },
  { title: 'JobError' },
);

export const Job = Type.Object(
  {
    id: Type.String(),
    name: nullable(Type.String()),
    labels: Type.Record(Type.String(), Type.String()),
    state: JobState,
    model: Type.String(),
    dataset: nullable(Type.String()),
    device: Type.Enum(DEVICES),
    seed: Type.Integer(),
    steps: Type.Array(JobStep),
    progress: Share,
    attempt: Type.Integer({ description: 'workers that have taken the job' }),
    artifacts: Type.Array(Artifact),
    recommended: nullable(Type.String({ description: 'id of the artifact to download' })),
    report: nullable(Report),
    error: nullable(JobError),
    request: { ...JobRequest, description: 'as submitted, with every default filled in' },
    createdAt: Time,
    startedAt: nullable(Time),
    endedAt: nullable(Time),
  },
  { title: 'Job' },
);
export type Job = Static<typeof Job>;

export const DryRun = Type.Object(
  {
    valid: Type.Literal(true),
    request: { ...JobRequest, description: 'with every default filled in' },
    estimate: Type.Object({
      seconds: nullable(
        Type.Number({ description: "on one worker of the kind asked for; null: the model's cost is not known" }),
      ),
      memoryBytes: Bytes,
      steps: Type.Array(Type.Object({ technique: Type.String(), seconds: nullable(Type.Number()) })),
    }),
  },
  { title: 'DryRun' },
);
export type DryRun = Static<typeof DryRun>;

export const Metric = Type.Object(
  { step: Type.Integer(), epoch: Type.Integer(), name: Type.String(), value: Type.Number() },
  { title: 'Metric' },
);

export const Technique = Type.Object(
  {
    name: Type.String(),
    version: Type.Integer(),
    summary: Type.String(),
    paper: nullable(Type.String()),
    parameters: Type.Object(
      {},
      {
        additionalProperties: true,
        description: 'JSON Schema of the step as a job request has it; what has a default may be left out',
      },
    ),
  },
  { title: 'Technique' },
);
export type Technique = Static<typeof Technique>;

export const WorkerStatus = Type.Object(
  {
    id: Type.String(),
    pool: Type.Enum(['cpu', 'gpu']),
    host: Type.String(),
    pid: Type.Integer(),
    devices: Type.Array(Type.String()),
    engine: Type.String(),
    slots: Type.Integer({ description: 'jobs at a time' }),
    jobs: Type.Array(Type.String(), { description: 'ids of your jobs that it runs now' }),
    busy: Type.Integer({ description: 'jobs that it runs now, of whatever tenant' }),
    startedAt: Time,
    seenAt: Time,
  },
  { title: 'Worker' },
);

export const Role = Type.Enum(['administrator', 'member']);
export const Key = Type.Object(
  {
    id: Type.String(),
    tenant: Type.String(),
    name: Type.String(),
    role: Role,
    prefix: Type.String({ description: 'first characters, to recognise it' }),
    createdAt: Time,
    lastUsedAt: nullable(Time),
  },
  { title: 'Key' },
);
export const NewKeyRequest = Type.Object(
  {
    tenant: Type.String({ minLength: 1, maxLength: 200, description: 'made where there is none of this name' }),
    name: Type.String({ minLength: 1, maxLength: 200 }),
    role: Type.Optional({ ...Role, default: 'member' }),
  },
  { additionalProperties: false, title: 'NewKey' },
);
export type NewKeyRequest = { tenant: string; name: string; role?: 'administrator' | 'member' };
export const CreatedKey = Type.Object(
  { ...Key.properties, key: Type.String({ description: 'shown this once' }) },
  { title: 'CreatedKey' },
);

export const Health = Type.Object({ status: Type.Literal('ok') }, { title: 'Health' });
export const Readiness = Type.Object(
  {
    status: Type.Enum(['ready', 'unavailable']),
    checks: Type.Record(Type.String(), Type.String(), {
      description: '"ok", or what is wrong: database, queue, artifacts',
    }),
  },
  { title: 'Readiness' },
);

/** RFC 9457. */
export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.Enum(CODES),
    instance: Type.Optional(Type.String({ description: "the request's id, as in the logs" })),
    errors: Type.Array(
      Type.Object({
        path: Type.String({ description: 'JSON pointer into the request, or a place in the file' }),
        message: Type.String(),
      }),
    ),
  },
  { title: 'Problem' },
);
export type Problem = Static<typeof Problem>;

export const pageOf = <T extends TSchema & { title?: string }>(item: T) =>
  Type.Object(
    {
      items: Type.Array(item),
      nextCursor: nullable(Type.String({ description: 'for ?cursor=; null: this was the last page' })),
    },
    { title: `${item.title ?? ''}Page` },
  );
