/** Structured logs: one JSON object per line on standard output; secrets are never in them. */
import { pino, type Logger } from 'pino';
import type { Variables } from './config/variables.ts';

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

export function createLog(name: 'api' | 'supervisor', level: Variables['LATHE_LOG_LEVEL']): Log {
  return pino({ name, level, redact: { paths: HIDDEN, censor: '[hidden]' }, timestamp: pino.stdTimeFunctions.isoTime });
}
