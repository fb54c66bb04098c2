/** Where the service is and which key to show it. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readVariable, textOf } from '../../src/config/read.ts';
import type { Connection } from '../typescript/src/index.ts';

/**
 * `LATHE_URL` (else loopback at `LATHE_PORT`), `LATHE_API_KEY` (else the key that `npm start` stored in
 * `LATHE_HOME/api-key`).
 */
export function connectionFrom(environment: NodeJS.ProcessEnv): Connection {
  const url = serviceUrl(environment).replace(/\/+$/, '');
  const keyFile = join(resolve(readVariable(environment, 'LATHE_HOME')), 'api-key');
  // Unchecked: the service says whether it knows the key.
  const apiKey =
    textOf(environment, 'LATHE_API_KEY') ?? (existsSync(keyFile) ? readFileSync(keyFile, 'utf8').trim() : null);
  if (!apiKey)
    throw new Error(
      `No API key: set LATHE_API_KEY, or LATHE_HOME to the folder of a running service (${keyFile} is missing)`,
    );
  return { url, apiKey };
}

/** @throws ConfigError where LATHE_URL or LATHE_PORT is not valid */
export function serviceUrl(environment: NodeJS.ProcessEnv): string {
  return readVariable(environment, 'LATHE_URL') ?? `http://127.0.0.1:${readVariable(environment, 'LATHE_PORT')}`;
}
