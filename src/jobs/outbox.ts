/**
 * Messages to systems outside the database. Each is written in the transaction that causes it, and handled at least
 * once by a relay. Each kind of message has a version: after an update, rows of the previous release may still be
 * waiting, and relays of both releases may run.
 */
import { Type, type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';

/** A new kind is a line here, and its handler where the relay is made. A changed payload raises the version. */
const KINDS = {
  /** The job is queued and needs an entry in the queue. */
  'job-queued': { version: 1, payload: Type.Object({ jobId: Type.String() }) },
} as const satisfies Record<string, { version: number; payload: TSchema }>;

export type OutboxKind = keyof typeof KINDS;
export type OutboxPayload<K extends OutboxKind> = Static<(typeof KINDS)[K]['payload']>;

export interface OutboxMessage {
  readonly kind: string;
  readonly version: number;
  readonly payload: unknown;
}

/** A message as it is stored, claimed by one relay. */
export interface OutboxRow extends OutboxMessage {
  readonly id: bigint;
}

/** Handles a batch of messages of one kind; if it throws, the whole batch is handled again later. */
export type OutboxHandlers = {
  readonly [K in OutboxKind]: (payloads: readonly OutboxPayload<K>[]) => Promise<void>;
};

export function outboxMessage<K extends OutboxKind>(kind: K, payload: OutboxPayload<K>): OutboxMessage {
  return { kind, version: KINDS[kind].version, payload };
}

export interface HandledRows {
  readonly done: readonly bigint[];
  /** To be retried soon, with the reason. */
  readonly failed: readonly { readonly ids: readonly bigint[]; readonly error: unknown }[];
  /** Of kinds, versions or payloads that this release does not know: left for a relay that does. */
  readonly unknown: readonly OutboxRow[];
}

/** Passes the rows to the handlers of their kinds. Does not throw. */
export async function handleRows(rows: readonly OutboxRow[], handlers: OutboxHandlers): Promise<HandledRows> {
  const known = rows.filter(isKnown);
  const handled = { done: [] as bigint[], failed: [] as { ids: bigint[]; error: unknown }[] };
  for (const kind of Object.keys(KINDS) as OutboxKind[]) {
    const ofKind = known.filter((row) => row.kind === kind);
    const ids = ofKind.map(({ id }) => id);
    if (ids.length === 0) continue;
    try {
      await handlers[kind](ofKind.map(({ payload }) => payload as OutboxPayload<typeof kind>));
      handled.done.push(...ids);
    } catch (error) {
      handled.failed.push({ ids, error });
    }
  }
  return { ...handled, unknown: rows.filter((row) => !isKnown(row)) };
}

function isKnown({ kind, version, payload }: OutboxRow): boolean {
  const known = Object.hasOwn(KINDS, kind) ? KINDS[kind as OutboxKind] : null;
  return known !== null && known.version === version && Value.Check(known.payload, payload);
}
