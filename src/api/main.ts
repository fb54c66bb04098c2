/** Process entry of the API. */
import { ConfigError, parseConfig } from '../config/config.ts';
import { createLog } from '../log.ts';
import { startServer } from './server.ts';

try {
  const config = parseConfig(process.env);
  const log = createLog('api', config.logLevel);
  const server = await startServer(config, log);
  log.info({ url: server.url, queue: config.redisUrl === null ? 'postgres' : 'redis' }, 'ready');
  process.send?.('ready');
  let stopping = false;
  const stop = (why: string): void => {
    if (stopping) return;
    stopping = true;
    log.info({ why }, 'stopping');
    server.close().then(
      () => {
        log.info('stopped');
        process.exit(0);
      },
      (error: unknown) => {
        log.error({ err: error }, 'the server did not stop cleanly');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  // The launcher is gone, and the embedded database with it.
  if (process.connected) process.once('disconnect', () => stop('launcher gone'));
} catch (error) {
  process.stderr.write(`lathe: ${reasonOf(error)}\n`);
  process.exit(1);
}

function reasonOf(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
