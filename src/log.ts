/** Structured logs: one JSON object per line on standard output; secrets are never in them. */
import { pino, type Logger } from 'pino';

export type Log = Logger;

const HIDDEN = [
  'req.headers.authorization',
  'req.headers.cookie',
  'headers.authorization',
  'apiKey',
  'key',
  'databaseUrl',
  'redisUrl',
];

/** @param level `LATHE_LOG_LEVEL` */
export function createLog(name: 'api' | 'supervisor', level: string = process.env.LATHE_LOG_LEVEL ?? 'info'): Log {
  return pino({ name, level, redact: { paths: HIDDEN, censor: '[hidden]' }, timestamp: pino.stdTimeFunctions.isoTime });
}
