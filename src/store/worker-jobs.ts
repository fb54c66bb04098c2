/**
 * Jobs as workers see them. A claim raises the fencing number; every later write holds only while that number is still
 * the job's.
 */
import type { DatasetDescription } from '../contracts/dataset.ts';
import { DEFAULT_RUN_SECONDS, type JobRequest } from '../contracts/job-request.ts';
import { isEnded } from '../contracts/job-states.ts';
import type { ModelDescription } from '../contracts/model.ts';
import { newId } from '../ids.ts';
import { applyEvents } from '../jobs/apply-events.ts';
import type { StoredMetric, StoredStep } from '../jobs/ports/api-side.ts';
import type { JobEvent } from '../jobs/ports/events.ts';
import type { Claim, JobOutcome, WorkerJobStore } from '../jobs/ports/worker-side.ts';
import { statesBefore } from '../jobs/states.ts';
import { TRANSACTION, type Connection, type Database } from './database.ts';
import { Prisma } from './generated/client.ts';
import { appendEvents, lockClaimed, lockJobs, applyTransition, requeue, type LockedJob } from './job-changes.ts';
import { toStep } from './job-rows.ts';
import { storable, storableText } from './storable.ts';

/** @param maxAttempts claims of one job, those that were given back aside */
export function workerJobStore(database: Database, maxAttempts: number): WorkerJobStore {
  /** Runs `change` on the job under its lock where the claim still counts; `false` where it does not. */
  const whileClaimed = (id: string, fence: number, change: (tx: Connection, job: LockedJob) => Promise<boolean>) =>
    database.$transaction(async (tx) => {
      const job = await lockClaimed(tx, id, fence);
      return job === null ? false : change(tx, job);
    }, TRANSACTION);
  return {
    claim: (jobId, workerId, leaseMs) =>
      database.$transaction((tx) => claim(tx, { jobId, workerId, leaseMs, maxAttempts }), TRANSACTION),
    heartbeat: (jobId, fence, leaseMs) => heartbeat(database, { jobId, fence, leaseMs }),
    record: (jobId, fence, events) => whileClaimed(jobId, fence, (tx) => record(tx, jobId, events)),
    succeed: (jobId, fence, outcome) => whileClaimed(jobId, fence, (tx, job) => succeed(tx, job, outcome)),
    fail: (jobId, fence, { code, message, retryable }) =>
      whileClaimed(jobId, fence, async (tx, job) => {
        const state = await applyTransition(tx, job, {
          transition: 'fail',
          events: [{ type: 'failed', data: { code, message, retryable } }],
          data: { errorCode: code, errorMessage: storableText(message), errorRetryable: retryable },
        });
        return state === 'failed';
      }),
    cancel: (jobId, fence) =>
      whileClaimed(
        jobId,
        fence,
        async (tx, job) => (await applyTransition(tx, job, { transition: 'confirm', events: [] })) === 'canceled',
      ),
    release: (jobId, fence, reason, countsAsAttempt = false) =>
      whileClaimed(jobId, fence, async (tx, job) => {
        return (await requeue(tx, job, countsAsAttempt ? 'lose' : 'release', reason)) !== null;
      }),
    endedOf: (jobIds) => endedOf(database, jobIds),
  };
}

async function endedOf(database: Database, jobIds: readonly string[]): Promise<string[]> {
  const rows = await database.job.findMany({ where: { id: { in: [...jobIds] } }, select: { id: true, state: true } });
  const living = new Set(rows.filter(({ state }) => !isEnded(state)).map(({ id }) => id));
  return jobIds.filter((id) => !living.has(id));
}

async function heartbeat(
  database: Database,
  { jobId, fence, leaseMs }: { jobId: string; fence: number; leaseMs: number },
): ReturnType<WorkerJobStore['heartbeat']> {
  const [row] = await database.$queryRaw<{ state: string }[]>`
    UPDATE jobs SET lease_until = now() + ${leaseMs}::float8 * interval '1 millisecond'
    WHERE id = ${jobId} AND fence = ${fence} AND state::text = ANY (${statesBefore('succeed')})
    RETURNING state::text AS state`;
  if (!row) return 'lost';
  return row.state === 'canceling' ? 'cancel-requested' : 'ok';
}

async function claim(
  tx: Connection,
  { jobId, workerId, leaseMs, maxAttempts }: { jobId: string; workerId: string; leaseMs: number; maxAttempts: number },
): Promise<Claim | null> {
  const free = Prisma.sql`(state = 'queued' AND queue_deadline > now())
    OR (state = 'running' AND lease_until < now() AND attempt < ${maxAttempts})`;
  const [job] = await lockJobs(tx, Prisma.sql`id = ${jobId} AND (${free})`);
  if (!job) return null;
  const [row] = await tx.$queryRaw<{ fence: number; attempt: number }[]>`
    UPDATE jobs SET state = 'running', fence = fence + 1, attempt = attempt + 1,
      worker_id = ${workerId}, waiting = false,
      lease_until = now() + ${leaseMs}::float8 * interval '1 millisecond', started_at = coalesce(started_at, now())
    WHERE id = ${jobId} RETURNING fence, attempt`;
  if (!row) return null;
  const lost: JobEvent[] = job.state === 'running' ? [{ type: 'retrying', data: { reason: WORKER_LOST_REASON } }] : [];
  await appendEvents(tx, jobId, [...lost, { type: 'started', data: { worker: workerId, attempt: row.attempt } }]);
  return contentOf(tx, jobId, row);
}

export const WORKER_LOST_REASON = 'its worker was lost';

async function contentOf(
  tx: Connection,
  jobId: string,
  { fence, attempt }: { fence: number; attempt: number },
): Promise<Claim> {
  const { dataset, models, ...job } = await tx.job.findUniqueOrThrow({
    where: { id: jobId },
    include: { dataset: true, models: { include: { model: true } } },
  });
  const request = job.request as unknown as JobRequest;
  const described = models.map(({ model: { id, name, sha256, description } }) => ({
    id,
    name,
    sha256,
    description: description as unknown as ModelDescription,
  }));
  const model = described.find(({ id }) => id === job.modelId);
  if (!model) throw new Error(`job ${jobId} has no model ${job.modelId}`);
  return {
    jobId,
    fence,
    attempt,
    request,
    model,
    dataset: dataset && {
      id: dataset.id,
      sha256: dataset.sha256,
      options: dataset.options as Record<string, string>,
      description: dataset.description as unknown as DatasetDescription,
    },
    otherModels: new Map(
      described.filter(({ id }) => id !== model.id).map(({ id, sha256, description }) => [id, { sha256, description }]),
    ),
    deadline: new Date(Date.now() + (request.limits?.runSeconds ?? DEFAULT_RUN_SECONDS) * 1000),
  };
}

async function record(tx: Connection, jobId: string, events: readonly JobEvent[]): Promise<boolean> {
  const before = (await tx.step.findMany({ where: { jobId }, orderBy: { index: 'asc' } })).map(toStep);
  const updates = applyEvents(before, events, new Date());
  for (const [i, step] of updates.steps.entries())
    if (JSON.stringify(step) !== JSON.stringify(before[i])) await writeStep(tx, jobId, step);
  await writeMetrics(tx, jobId, updates.metrics);
  if (updates.progress !== null) await tx.job.update({ where: { id: jobId }, data: { progress: updates.progress } });
  await appendEvents(tx, jobId, events);
  return true;
}

async function writeStep(
  tx: Connection,
  jobId: string,
  { index, technique: _, metrics, warnings, ...rest }: StoredStep,
): Promise<void> {
  await tx.step.update({
    where: { jobId_index: { jobId, index } },
    data: { ...rest, metrics: storable(metrics), warnings: storable(warnings) },
  });
}

/** An epoch that runs again after a kill replaces its earlier metrics. */
async function writeMetrics(tx: Connection, jobId: string, metrics: readonly StoredMetric[]): Promise<void> {
  for (const { step, epoch, name, value } of metrics) {
    await tx.$executeRaw`
      INSERT INTO metrics (job_id, step, epoch, name, value)
      VALUES (${jobId}, ${step}, ${epoch}, ${storableText(name)}, ${value}::float8)
      ON CONFLICT (job_id, step, epoch, name) DO UPDATE SET value = EXCLUDED.value, created_at = now()`;
  }
}

async function succeed(
  tx: Connection,
  job: LockedJob,
  { report, artifacts, recommended }: JobOutcome,
): Promise<boolean> {
  const rows = artifacts.map(({ name, format, sizeBytes, ...artifact }) => ({
    ...artifact,
    id: newId('artifact'),
    tenantId: job.tenantId,
    jobId: job.id,
    modelId: job.modelId,
    name: storableText(name),
    format: storableText(format),
    sizeBytes: BigInt(sizeBytes),
  }));
  const recommendedId = rows[recommended]?.id ?? null;
  const state = await applyTransition(tx, job, {
    transition: 'succeed',
    events: [
      { type: 'progress', data: { progress: 1 } },
      { type: 'succeeded', data: { recommended: recommendedId, artifacts: rows.map(({ id }) => id) } },
    ],
    data: { report: storable(report), recommendedId, progress: 1 },
  });
  if (state !== 'succeeded') return false;
  await tx.artifact.createMany({ data: rows });
  return true;
}
