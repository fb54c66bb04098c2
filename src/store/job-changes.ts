/** Changes of one job, made under a lock on its row: state, steps and events move together. */
import { DEFAULT_QUEUE_SECONDS } from '../contracts/job-request.ts';
import { isEnded, type JobState } from '../contracts/job-states.ts';
import { outboxMessage, type OutboxMessage } from '../jobs/outbox.ts';
import type { JobEvent } from '../jobs/ports/events.ts';
import { nextState, statesBefore, type JobTransition } from '../jobs/states.ts';
import type { Connection } from './database.ts';
import { Prisma } from './generated/client.ts';
import { storable, storableText } from './storable.ts';

export interface LockedJob {
  readonly id: string;
  readonly tenantId: string;
  readonly modelId: string;
  readonly state: JobState;
  readonly attempt: number;
  readonly lastEvent: number;
  readonly queueSeconds: number;
}

const COLUMNS = Prisma.sql`
  id, tenant_id AS "tenantId", model_id AS "modelId", state::text AS state, attempt, last_event AS "lastEvent",
  coalesce((request->'limits'->>'queueSeconds')::int, ${DEFAULT_QUEUE_SECONDS}::int) AS "queueSeconds"`;

/** Locks the rows that fit; those that another transaction holds are left out where `skipLocked`. */
export async function lockJobs(
  tx: Connection,
  condition: Prisma.Sql,
  { limit = 1, skipLocked = false } = {},
): Promise<LockedJob[]> {
  const lock = skipLocked ? Prisma.sql`FOR UPDATE SKIP LOCKED` : Prisma.sql`FOR UPDATE`;
  return tx.$queryRaw<LockedJob[]>`SELECT ${COLUMNS} FROM jobs WHERE ${condition} ORDER BY id LIMIT ${limit} ${lock}`;
}

/** The job of a worker whose claim still counts; `null`: it was claimed anew, or has ended. */
export async function lockClaimed(tx: Connection, id: string, fence: number): Promise<LockedJob | null> {
  const [job] = await lockJobs(
    tx,
    Prisma.sql`id = ${id} AND fence = ${fence} AND state::text = ANY (${statesBefore('succeed')})`,
  );
  return job ?? null;
}

export interface JobChange {
  readonly transition: JobTransition;
  readonly events: readonly JobEvent[];
  readonly data?: Prisma.JobUncheckedUpdateInput;
}

/**
 * Moves a locked job on, by the table of jobs/states.ts. A job that was to be canceled ends canceled, whatever
 * happened.
 * @returns the new state; `null`: the table does not allow it, and nothing was changed
 */
export async function applyTransition(
  tx: Connection,
  job: LockedJob,
  { transition, events, data = {} }: JobChange,
): Promise<JobState | null> {
  const state = nextState(job.state, transition);
  if (state === null) return null;
  const diverted = job.state === 'canceling' && state === 'canceled';
  const ended = isEnded(state);
  await tx.job.update({
    where: { id: job.id },
    data: {
      ...(diverted ? {} : data),
      state,
      ...(ended ? { endedAt: new Date(), leaseUntil: null, workerId: null, waiting: false } : {}),
    },
  });
  if (ended) await closeSteps(tx, job.id, state);
  await appendEvents(tx, job.id, diverted ? [{ type: 'canceled', data: {} }] : events);
  return state;
}

/** Gives a running job back to the queue, with a fresh time limit there and an outbox row for the relay. */
export async function requeue(
  tx: Connection,
  job: LockedJob,
  transition: 'release' | 'lose',
  reason: string,
): Promise<JobState | null> {
  const now = Date.now();
  const state = await applyTransition(tx, job, {
    transition,
    events: [{ type: 'retrying', data: { reason } }],
    data: {
      // A job that its worker gives back keeps its attempts.
      attempt: transition === 'release' ? Math.max(0, job.attempt - 1) : job.attempt,
      workerId: null,
      leaseUntil: null,
      queuedAt: new Date(now),
      queueDeadline: new Date(now + job.queueSeconds * 1000),
      enqueuedAt: null,
    },
  });
  if (state === 'queued') await addToOutbox(tx, outboxMessage('job-queued', { jobId: job.id }));
  return state;
}

/** A relay handles the message after the commit. */
export async function addToOutbox(tx: Connection, { kind, version, payload }: OutboxMessage): Promise<void> {
  await tx.outbox.create({ data: { kind, version, payload: storable(payload) } });
}

/** Numbers follow the order of commits: the job's row is locked while they are given out. */
export async function appendEvents(tx: Connection, jobId: string, events: readonly JobEvent[]): Promise<void> {
  if (events.length === 0) return;
  const { lastEvent } = await tx.job.update({
    where: { id: jobId },
    data: { lastEvent: { increment: events.length } },
    select: { lastEvent: true },
  });
  const first = lastEvent - events.length + 1;
  await tx.event.createMany({
    data: events.map(({ type, data }, i) => ({
      jobId,
      seq: first + i,
      type: storableText(type),
      data: storable(data),
    })),
  });
}

async function closeSteps(tx: Connection, jobId: string, state: JobState): Promise<void> {
  if (state === 'succeeded') {
    await tx.step.updateMany({
      where: { jobId, state: { in: ['pending', 'running'] } },
      data: { state: 'succeeded', progress: 1, endedAt: new Date() },
    });
    return;
  }
  await tx.step.updateMany({
    where: { jobId, state: 'running' },
    data: { state: state === 'failed' ? 'failed' : 'skipped', endedAt: new Date() },
  });
  await tx.step.updateMany({ where: { jobId, state: 'pending' }, data: { state: 'skipped' } });
}
