/** The generated client on a pool of connections. */
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient, type Prisma } from './generated/client.ts';

export type Database = PrismaClient;
/** Within a transaction, or outside of one. */
export type Connection = Prisma.TransactionClient;

const CONNECT_TIMEOUT_MS = 5000;
/** A statement that waits longer than this for a lock or a disk has failed; nothing here takes so long by itself. */
const STATEMENT_TIMEOUT_MS = 60_000;

export function connect(databaseUrl: string, connections: number): Database {
  const pool = {
    connectionString: databaseUrl,
    max: connections,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'lathe',
  };
  return new PrismaClient({
    adapter: new PrismaPg(pool, { onPoolError: () => undefined, onConnectionError: () => undefined }),
  });
}

export const TRANSACTION = { maxWait: CONNECT_TIMEOUT_MS, timeout: 30_000 } as const;
