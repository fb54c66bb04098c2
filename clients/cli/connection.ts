/** Where the service is and which key to show it. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Connection } from '../typescript/src/index.ts';

/**
 * `LATHE_URL` (else loopback at `LATHE_PORT`), `LATHE_API_KEY` (else the key that `npm start` stored in
 * `LATHE_HOME/api-key`).
 */
export function connectionFrom(environment: NodeJS.ProcessEnv): Connection {
  const url = (environment['LATHE_URL'] ?? `http://127.0.0.1:${environment['LATHE_PORT'] ?? '8080'}`).replace(
    /\/+$/,
    '',
  );
  const keyFile = join(resolve(environment['LATHE_HOME'] ?? '.lathe'), 'api-key');
  const apiKey =
    environment['LATHE_API_KEY'] ?? (existsSync(keyFile) ? readFileSync(keyFile, 'utf8').trim() : undefined);
  if (!apiKey)
    throw new Error(
      `No API key: set LATHE_API_KEY, or LATHE_HOME to the folder of a running service (${keyFile} is missing)`,
    );
  return { url, apiKey };
}
