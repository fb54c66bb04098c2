/** Rows of jobs and what hangs on them, as the records that the rest of Lathe knows. */
import type { JobRequest } from '../contracts/job-request.ts';
import type { Report, ReportWarning } from '../contracts/report.ts';
import { ERRORS, type ErrorCode } from '../errors.ts';
import type { StoredJob, StoredStep } from '../jobs/ports/api-side.ts';
import { toArtifact } from './artifacts.ts';
import type { Prisma, Step } from './generated/client.ts';

export const WITH_PARTS = {
  steps: { orderBy: { index: 'asc' } },
  artifacts: { orderBy: { id: 'asc' } },
} as const satisfies Prisma.JobInclude;
export type JobRow = Prisma.JobGetPayload<{ include: typeof WITH_PARTS }>;

export function toJob(row: JobRow): StoredJob {
  const { id, tenantId, name, state, device, attempt, progress, recommendedId, createdAt, startedAt, endedAt } = row;
  return {
    id,
    tenantId,
    name,
    state,
    device,
    attempt,
    progress,
    recommendedId,
    createdAt,
    startedAt,
    endedAt,
    labels: row.labels as Record<string, string>,
    request: row.request as unknown as JobRequest,
    modelId: row.modelId,
    // The column is emptied when the dataset goes; the request still says what it was.
    datasetId: (row.request as unknown as JobRequest).dataset ?? null,
    steps: row.steps.map(toStep),
    artifacts: row.artifacts.map(toArtifact),
    report: row.report as unknown as Report | null,
    error:
      row.errorCode === null
        ? null
        : { code: knownCode(row.errorCode), message: row.errorMessage ?? '', retryable: row.errorRetryable ?? false },
  };
}

export function toStep(row: Step): StoredStep {
  const { jobId: _, ...step } = row;
  return {
    ...step,
    metrics: row.metrics as Record<string, number>,
    warnings: row.warnings as unknown as ReportWarning[],
  };
}

/** A row written by a newer release may hold an unknown code. */
function knownCode(code: string): ErrorCode {
  return code in ERRORS ? (code as ErrorCode) : 'internal';
}
