/**
 * The relay's queries. Rows are taken with SKIP LOCKED: several API processes may relay and sweep at once. No
 * transaction stays open while the relay talks to the queue.
 */
import type { OutboxRow } from '../jobs/outbox.ts';
import type { JobEvent } from '../jobs/ports/events.ts';
import type { Pool } from '../jobs/ports/queue.ts';
import type { RelayStore } from '../jobs/ports/relay.ts';
import { TRANSACTION, type Connection, type Database } from './database.ts';
import { Prisma } from './generated/client.ts';
import { appendEvents, lockJobs, applyTransition, requeue, type LockedJob } from './job-changes.ts';
import { WORKER_LOST_REASON } from './worker-jobs.ts';

/** How many rows one sweep takes; rows locked by another relay are skipped. */
const SWEEP = { limit: 100, skipLocked: true };

export function relayStore(database: Database): RelayStore {
  return {
    claimOutbox: (limit, claimMs) => claimOutbox(database, limit, claimMs),
    async completeOutbox(ids) {
      await database.outbox.deleteMany({ where: { id: { in: [...ids] } } });
    },
    async releaseOutbox(ids) {
      await database.outbox.updateMany({ where: { id: { in: [...ids] } }, data: { claimedUntil: null } });
    },
    queuedAmong: (ids) =>
      database.job.findMany({
        where: { id: { in: [...ids] }, state: 'queued' },
        select: { id: true, device: true, fence: true },
      }),
    expireOverdue: () => database.$transaction(expireOverdue, TRANSACTION),
    reclaimLost: (maxAttempts) => database.$transaction((tx) => reclaimLost(tx, maxAttempts), TRANSACTION),
    queuedBefore: (before, limit) => queuedBefore(database, before, limit),
    markEnqueued: (ids, pool) => markEnqueued(database, ids, pool),
    setWaiting: (id, event) => database.$transaction((tx) => setWaiting(tx, id, event), TRANSACTION),
    async deleteIdempotencyKeys(before) {
      return (await database.idempotencyRecord.deleteMany({ where: { createdAt: { lt: before } } })).count;
    },
    async deleteWorkers(before) {
      return (await database.worker.deleteMany({ where: { seenAt: { lt: before } } })).count;
    },
  };
}

/** Uses the database's clock, so that relays on several machines agree when a claim ends. */
async function claimOutbox(database: Database, limit: number, claimMs: number): Promise<OutboxRow[]> {
  const rows = await database.$queryRaw<OutboxRow[]>`
    UPDATE outbox SET claimed_until = now() + ${claimMs}::float8 * interval '1 millisecond'
    WHERE id IN (
      SELECT id FROM outbox WHERE claimed_until IS NULL OR claimed_until < now() ORDER BY id LIMIT ${limit}
      FOR UPDATE SKIP LOCKED)
    RETURNING id, kind, version, payload`;
  return rows.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

async function expireOverdue(tx: Connection): Promise<string[]> {
  const overdue = await lockJobs(tx, Prisma.sql`state = 'queued' AND queue_deadline < now()`, SWEEP);
  for (const job of overdue) await expire(tx, job);
  return overdue.map(({ id }) => id);
}

async function reclaimLost(tx: Connection, maxAttempts: number): ReturnType<RelayStore['reclaimLost']> {
  const lost = await lockJobs(tx, Prisma.sql`state IN ('running', 'canceling') AND lease_until < now()`, SWEEP);
  const done = { requeued: [] as string[], ended: [] as string[] };
  for (const job of lost) {
    const state =
      job.attempt < maxAttempts ? await requeue(tx, job, 'lose', WORKER_LOST_REASON) : await giveUp(tx, job);
    (state === 'queued' ? done.requeued : done.ended).push(job.id);
  }
  return done;
}

async function queuedBefore(database: Database, before: Date, limit: number): ReturnType<RelayStore['queuedBefore']> {
  const rows = await database.job.findMany({
    where: {
      state: 'queued',
      OR: [{ enqueuedAt: { lt: before } }, { enqueuedAt: null, queuedAt: { lt: before } }],
    },
    select: { id: true, device: true, fence: true, pool: true, waiting: true, createdAt: true },
    orderBy: { enqueuedAt: 'asc' },
    take: limit,
  });
  return rows.map((row) => ({ ...row, pool: row.pool as Pool | null }));
}

async function setWaiting(tx: Connection, id: string, event: JobEvent | null): Promise<void> {
  const [job] = await lockJobs(tx, Prisma.sql`id = ${id} AND state = 'queued' AND waiting <> ${event !== null}`);
  if (!job) return;
  await tx.job.update({ where: { id }, data: { waiting: event !== null } });
  if (event) await appendEvents(tx, id, [event]);
}

async function markEnqueued(connection: Connection, ids: readonly string[], pool: Pool): Promise<void> {
  await connection.job.updateMany({
    where: { id: { in: [...ids] }, state: 'queued' },
    data: { pool, enqueuedAt: new Date() },
  });
}

async function expire(tx: Connection, job: LockedJob): Promise<void> {
  const message = `No worker took the job within its limit of ${job.queueSeconds} s (limits.queueSeconds)`;
  await applyTransition(tx, job, {
    transition: 'expire',
    events: [{ type: 'expired', data: { code: 'deadline-exceeded', message, retryable: true } }],
    data: { errorCode: 'deadline-exceeded', errorMessage: message, errorRetryable: true },
  });
}

async function giveUp(tx: Connection, job: LockedJob): Promise<string | null> {
  const message = `The job's worker was lost ${job.attempt} times`;
  return applyTransition(tx, job, {
    transition: 'give-up',
    events: [{ type: 'failed', data: { code: 'worker-lost', message, retryable: true } }],
    data: { errorCode: 'worker-lost', errorMessage: message, errorRetryable: true },
  });
}
