import { DEFAULT_QUEUE_SECONDS } from '../contracts/job-request.ts';
import { ACTIVE_STATES, isEnded, JOB_STATES, type JobState } from '../contracts/job-states.ts';
import { outboxMessage } from '../jobs/outbox.ts';
import type {
  Insertion,
  InsertOptions,
  JobFilter,
  JobRepository,
  NewJob,
  StoredEvent,
} from '../jobs/ports/api-side.ts';
import type { JobEventType } from '../jobs/ports/events.ts';
import { TRANSACTION, type Connection, type Database } from './database.ts';
import { Prisma } from './generated/client.ts';
import { addToOutbox, lockJobs, applyTransition } from './job-changes.ts';
import { toJob, WITH_PARTS } from './job-rows.ts';
import { pageQuery, toPage } from './pages.ts';
import { storable, storableText } from './storable.ts';
import { isDangling } from './unavailable.ts';

export function jobRepository(database: Database): JobRepository {
  return {
    insert: (job, options) => insert(database, job, options),
    async idempotencyRecord(tenantId, key) {
      return database.idempotencyRecord.findUnique({ where: { tenantId_key: { tenantId, key } } });
    },
    async find(tenantId, id) {
      const row = await database.job.findFirst({ where: { id, tenantId }, include: WITH_PARTS });
      return row && toJob(row);
    },
    async list(tenantId, filter, page) {
      const { where, ...query } = pageQuery(page);
      const rows = await database.job.findMany({
        where: { tenantId, ...where, ...conditions(filter) },
        include: WITH_PARTS,
        ...query,
      });
      return toPage(rows, page.limit, toJob);
    },
    ownedBy: (tenantId, ids) => ownedBy(database, tenantId, ids),
    async cancel(tenantId, id) {
      const accepted = await database.$transaction((tx) => cancel(tx, tenantId, id), TRANSACTION);
      if (accepted === null) return null;
      const row = await database.job.findFirst({ where: { id, tenantId }, include: WITH_PARTS });
      return row && { accepted, job: toJob(row) };
    },
    events: (jobId, afterSeq, limit) => events(database, { jobId, afterSeq, limit }),
    async metrics(jobId) {
      const rows = await database.metric.findMany({
        where: { jobId },
        orderBy: [{ step: 'asc' }, { epoch: 'asc' }, { name: 'asc' }],
      });
      return rows.map(({ step, epoch, name, value }) => ({ step, epoch, name, value }));
    },
    countByState: () => countByState(database),
    endedSince: (since) => endedSince(database, since),
  };
}

async function ownedBy(database: Database, tenantId: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const rows = await database.job.findMany({ where: { tenantId, id: { in: [...ids] } }, select: { id: true } });
  return new Set(rows.map(({ id }) => id));
}

async function events(
  database: Database,
  { jobId, afterSeq, limit }: { jobId: string; afterSeq: number; limit: number },
): Promise<StoredEvent[]> {
  const rows = await database.event.findMany({
    where: { jobId, seq: { gt: afterSeq } },
    orderBy: { seq: 'asc' },
    take: limit,
  });
  return rows.map(({ seq, type, data, createdAt }) => ({
    seq,
    type: type as JobEventType,
    data: data as Record<string, unknown>,
    createdAt,
  }));
}

async function countByState(database: Database): Promise<Record<JobState, number>> {
  const rows = await database.job.groupBy({ by: ['state'], _count: true });
  const counts = new Map(rows.map((row) => [row.state, row._count]));
  return Object.fromEntries(JOB_STATES.map((state) => [state, counts.get(state) ?? 0])) as Record<JobState, number>;
}

async function endedSince(database: Database, since: Date): ReturnType<JobRepository['endedSince']> {
  const rows = await database.job.findMany({
    where: { endedAt: { gt: since } },
    select: { state: true, startedAt: true, endedAt: true },
    orderBy: { endedAt: 'asc' },
    take: 1000,
  });
  return rows.flatMap(({ state, startedAt, endedAt }) =>
    endedAt ? [{ state, endedAt, runSeconds: startedAt && (endedAt.getTime() - startedAt.getTime()) / 1000 }] : [],
  );
}

function conditions({ states, labels }: JobFilter): Prisma.JobWhereInput {
  return {
    ...(states ? { state: { in: [...states] } } : {}),
    ...(labels ? { AND: labels.map(labelCondition) } : {}),
  };
}

function labelCondition({ name, value }: NonNullable<JobFilter['labels']>[number]): Prisma.JobWhereInput {
  return { labels: { path: [name], ...(value === null ? { not: Prisma.AnyNull } : { equals: value }) } };
}

async function insert(database: Database, job: NewJob, options: InsertOptions): Promise<Insertion> {
  try {
    return await database.$transaction((tx) => insertWithin(tx, job, options), TRANSACTION);
  } catch (error) {
    if (isDangling(error)) return { outcome: 'missing' };
    throw error;
  }
}

async function insertWithin(
  tx: Connection,
  job: NewJob,
  { idempotency, activeJobs, answerOf }: InsertOptions,
): Promise<Insertion> {
  const { tenantId } = job;
  if (idempotency) {
    const [row] = await tx.$queryRaw<
      { locked: boolean }[]
    >`SELECT pg_try_advisory_xact_lock(hashtextextended(${`${tenantId} ${idempotency.key}`}, 0)) AS locked`;
    if (!row?.locked) return { outcome: 'busy' };
    const record = await tx.idempotencyRecord.findUnique({
      where: { tenantId_key: { tenantId, key: idempotency.key } },
    });
    if (record) return { outcome: 'repeated', record };
  }
  // Counted without a lock, so simultaneous requests may exceed the limit.
  if ((await tx.job.count({ where: { tenantId, state: { in: [...ACTIVE_STATES] } } })) >= activeJobs)
    return { outcome: 'quota' };
  const row = await tx.job.create({ data: newRow(job), include: WITH_PARTS });
  await addToOutbox(tx, outboxMessage('job-queued', { jobId: job.id }));
  const stored = toJob(row);
  const answer = answerOf(stored);
  if (idempotency) {
    await tx.idempotencyRecord.create({ data: { tenantId, ...idempotency, jobId: job.id, answer: storable(answer) } });
  }
  return { outcome: 'inserted', job: stored, answer };
}

function newRow({ id, tenantId, request, modelIds }: NewJob): Prisma.JobCreateInput {
  const now = new Date();
  const queueSeconds = request.limits?.queueSeconds ?? DEFAULT_QUEUE_SECONDS;
  return {
    id,
    name: request.name === undefined ? null : storableText(request.name),
    labels: storable(request.labels ?? {}),
    request: storable(request),
    device: request.device ?? 'auto',
    modelId: request.model,
    createdAt: now,
    queuedAt: now,
    queueDeadline: new Date(now.getTime() + queueSeconds * 1000),
    lastEvent: 1,
    tenant: { connect: { id: tenantId } },
    ...(request.dataset === undefined ? {} : { dataset: { connect: { id: request.dataset } } }),
    models: { createMany: { data: modelIds.map((modelId) => ({ modelId })) } },
    steps: {
      createMany: {
        data: request.steps.map(({ technique }, index) => ({ index, technique: storableText(technique) })),
      },
    },
    events: { create: { seq: 1, type: 'queued', data: {}, createdAt: now } },
  };
}

/** `null`: no such job. */
async function cancel(tx: Connection, tenantId: string, id: string): Promise<boolean | null> {
  const [job] = await lockJobs(tx, Prisma.sql`id = ${id} AND tenant_id = ${tenantId}`);
  if (!job) return null;
  if (job.state === 'canceling') return true;
  if (isEnded(job.state)) return false;
  const type = job.state === 'queued' ? 'canceled' : 'canceling';
  return (await applyTransition(tx, job, { transition: 'cancel', events: [{ type, data: {} }] })) !== null;
}
