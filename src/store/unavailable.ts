/** Tells a database that cannot be reached from other errors: clients may retry then. */
import { LatheError } from '../errors.ts';
import { Prisma } from './generated/client.ts';

/** Prisma's own codes: not reachable, timed out, closed, no connection free. */
const PRISMA_CODES = new Set([
  'P1000',
  'P1001',
  'P1002',
  'P1003',
  'P1008',
  'P1010',
  'P1011',
  'P1017',
  'P2024',
  'P2028',
  'P2037',
]);
/** Connection exceptions (08), shutting down or starting (57P), too many connections; and the operating system's. */
const DRIVER_CODES = /^(08\w{3}|57P\d\d|53300|ECONN\w+|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)$/;
const DRIVER_WORDS = [
  /connection (terminated|timeout|closed|ended|error)/i,
  /is not queryable/i,
  /timeout exceeded when trying to connect/i,
  /can't reach database server/i,
  /server closed the connection/i,
  /not (currently|yet) accepting connections/i,
  /terminating connection/i,
  /ECONNREFUSED|ECONNRESET/i,
];

/** What the driver adapter calls them; its causes are plain objects. */
const ADAPTER_KINDS = new Set([
  'ConnectionClosed',
  'DatabaseNotReachable',
  'SocketTimeout',
  'TooManyConnections',
  'DatabaseAccessDenied',
  'DatabaseDoesNotExist',
]);

/** How many nested causes are examined. */
const MAX_DEPTH = 6;

export function isUnavailable(error: unknown): boolean {
  let cause = error;
  for (let depth = 0; typeof cause === 'object' && cause !== null && depth < MAX_DEPTH; depth++) {
    if (saysUnavailable(cause)) return true;
    cause = innerCause(cause);
  }
  return false;
}

function saysUnavailable(cause: object): boolean {
  if (cause instanceof Prisma.PrismaClientInitializationError) return true;
  const { code, originalCode, kind, message, originalMessage } = cause as Readonly<Record<string, unknown>>;
  const isText = (value: unknown): value is string => typeof value === 'string';
  return (
    [code, originalCode].filter(isText).some((text) => PRISMA_CODES.has(text) || DRIVER_CODES.test(text)) ||
    (isText(kind) && ADAPTER_KINDS.has(kind)) ||
    [message, originalMessage].filter(isText).some((text) => DRIVER_WORDS.some((words) => words.test(text)))
  );
}

/** Prisma keeps the adapter's error beside, not under, its own. */
function innerCause(error: object): unknown {
  const { cause, meta } = error as { cause?: unknown; meta?: { driverAdapterError?: unknown } };
  return cause ?? meta?.driverAdapterError;
}

/** The same object, whose methods throw `unavailable` where the database is away. */
export function withUnavailableErrors<T extends object>(repository: T): T {
  return new Proxy(repository, {
    get(target, name, receiver) {
      const member: unknown = Reflect.get(target, name, receiver);
      if (typeof member !== 'function') return member;
      return async (...args: unknown[]) => {
        try {
          return (await member.apply(target, args)) as unknown;
        } catch (error) {
          throw isUnavailable(error)
            ? new LatheError('unavailable', 'The database cannot be reached at the moment', [], { cause: error })
            : error;
        }
      };
    },
  });
}

/** Whether a row with the same key exists. */
export function isDuplicate(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002';
}

/** Whether a referenced row does not exist (any more). */
export function isDangling(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && (error.code === 'P2003' || error.code === 'P2025');
}
