/**
 * Submission: the request is checked whole against what it names, then job, steps, outbox row and idempotency record
 * are written at once.
 */
import { createHash } from 'node:crypto';
import { stringify } from 'safe-stable-stringify';
import { Value } from 'typebox/value';
import { modelsNamedBy, validateRecipe } from '../compression/recipe/validate.ts';
import { JobRequest, Limits as JobLimits } from '../contracts/job-request.ts';
import { LatheError, type ErrorDetail } from '../errors.ts';
import { isId, newId } from '../ids.ts';
import { estimate, type Estimate } from './estimate.ts';
import type {
  DatasetRepository,
  IdempotencyClaim,
  IdempotencyRecord,
  JobRepository,
  ModelRepository,
  StoredDataset,
  StoredJob,
  StoredModel,
} from './ports/api-side.ts';
import type { TenantLimitSource } from './ports/tenant-limits.ts';

export interface SubmitDeps {
  readonly models: ModelRepository;
  readonly datasets: DatasetRepository;
  readonly jobs: JobRepository;
  readonly tenantLimits: TenantLimitSource;
  /** What the client is answered: kept with the Idempotency-Key. */
  answerOf(job: StoredJob): unknown;
}

export interface Submission {
  readonly jobId: string;
  readonly answer: unknown;
  /** An earlier request with the same key had this answer. */
  readonly repeated: boolean;
}

/** @throws LatheError with every problem of the request; nothing is stored then */
export async function submitJob(
  deps: SubmitDeps,
  tenantId: string,
  request: JobRequest,
  idempotencyKey: string | null,
): Promise<Submission> {
  const idempotency = idempotencyKey === null ? null : { key: idempotencyKey, fingerprint: fingerprintOf(request) };
  const earlier = idempotency && (await deps.jobs.idempotencyRecord(tenantId, idempotency.key));
  if (idempotency && earlier) return repeated(idempotency, earlier);
  const plan = await resolve(deps, tenantId, request);
  const modelIds = [...new Set([plan.model.id, ...plan.others.map(({ id }) => id)])];
  const { activeJobs } = await deps.tenantLimits.limitsOf(tenantId);
  const result = await deps.jobs.insert(
    { id: newId('job'), tenantId, request: plan.request, modelIds },
    { idempotency, activeJobs, answerOf: (job) => deps.answerOf(job) },
  );
  switch (result.outcome) {
    case 'inserted':
      return { jobId: result.job.id, answer: result.answer, repeated: false };
    case 'repeated':
      return repeated(idempotency as IdempotencyClaim, result.record);
    case 'busy':
      throw new LatheError(
        'conflict',
        'Another request with this Idempotency-Key is in progress; try again in a moment',
      );
    case 'quota':
      throw new LatheError(
        'quota-exceeded',
        `${activeJobs} jobs are queued or running, which is the limit; wait for one to end, or cancel one`,
      );
    case 'missing':
      throw new LatheError('not-found', 'A model or the dataset of the request was deleted while it was checked');
  }
}

/** What would be run, and what it may cost; nothing is stored. */
export async function dryRun(
  deps: SubmitDeps,
  tenantId: string,
  request: JobRequest,
): Promise<{ request: JobRequest; estimate: Estimate }> {
  const plan = await resolve(deps, tenantId, request);
  return {
    request: plan.request,
    estimate: estimate(plan.request, plan.model.description, plan.dataset?.description ?? null),
  };
}

function repeated(claim: IdempotencyClaim, record: IdempotencyRecord): Submission {
  if (claim.fingerprint !== record.fingerprint) {
    throw new LatheError(
      'idempotency-mismatch',
      `The Idempotency-Key "${claim.key}" was used with another request (job ${record.jobId})`,
    );
  }
  return { jobId: record.jobId, answer: record.answer, repeated: true };
}

/** Equal for equal JSON, in whatever order its members came. */
function fingerprintOf(request: JobRequest): string {
  return createHash('sha256').update(stringify(request)).digest('hex');
}

interface Plan {
  /** With every default filled in. */
  readonly request: JobRequest;
  readonly model: StoredModel;
  readonly dataset: StoredDataset | null;
  /** Teachers. */
  readonly others: readonly StoredModel[];
}

async function resolve(deps: SubmitDeps, tenantId: string, request: JobRequest): Promise<Plan> {
  const findModel = async (id: string) => (isId('model', id) ? deps.models.find(tenantId, id) : null);
  const [model, dataset, ...others] = await Promise.all([
    findModel(request.model),
    request.dataset !== undefined && isId('dataset', request.dataset)
      ? deps.datasets.find(tenantId, request.dataset)
      : null,
    ...modelsNamedBy(request.steps).map(findModel),
  ]);
  const missing: ErrorDetail[] = [
    ...(model ? [] : [{ path: '/model', message: `there is no model "${request.model}"` }]),
    ...(dataset || request.dataset === undefined
      ? []
      : [{ path: '/dataset', message: `there is no dataset "${request.dataset}"` }]),
  ];
  if (!model || missing.length > 0)
    throw new LatheError('not-found', missing.map(({ path, message }) => `${path}: ${message}`).join('; '), missing);
  const teachers = others.filter((teacher) => teacher !== null);
  const checked = validateRecipe(
    request,
    model.description,
    dataset?.description ?? null,
    new Map(teachers.map(({ id, description }) => [id, description])),
  );
  return { request: withDefaults(checked), model, dataset, others: teachers };
}

function withDefaults(request: JobRequest): JobRequest {
  const limits = Value.Default(JobLimits, { ...request.limits }) as JobRequest['limits'];
  return Value.Default(JobRequest, { ...request, limits }) as JobRequest;
}
