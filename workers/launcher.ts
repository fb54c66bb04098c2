/**
 * `npm start`: the whole service on one machine. Embedded Postgres (unless DATABASE_URL names one), migrations, the API
 * and a supervisor; both are restarted when they die. SIGTERM or SIGINT stops everything in order.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig, type Config } from '../src/config/config.ts';
import { migrate } from '../src/store/migrate.ts';
import { lockHome } from './launcher/home-lock.ts';
import { RestartingProcess } from './launcher/restarting-process.ts';
import { supervisorSettings } from './supervisor/settings.ts';
import { startPostgres, type EmbeddedPostgres } from './launcher/postgres.ts';
import { isPortFree } from './ports.ts';
import { endWithParent } from '../src/process/end-with-parent.ts';

type Place = Pick<Config, 'home' | 'host' | 'port'>;

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
const SAME_SIGNAL_MS = 1000;

const complain = (line: string): boolean => process.stderr.write(`lathe: ${line}\n`);

/** Resolves when the service has stopped. */
export async function launch(environment: NodeJS.ProcessEnv = process.env): Promise<void> {
  const stopRequested = stopSignal(environment);
  let service: Service | undefined;
  let unlock: (() => void) | undefined;
  try {
    // Errors in the environment are reported here, at once: otherwise the kept processes would be started
    // again and again.
    const place = parseConfig({ ...environment, DATABASE_URL: environment.DATABASE_URL || 'postgresql://embedded' });
    supervisorSettings(environment);
    mkdirSync(join(place.home, 'logs'), { recursive: true });
    unlock = lockHome(place.home);
    service = new Service(place, environment);
    await Promise.race([service.start(), stopRequested]);
    await stopRequested;
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  } finally {
    await service?.stop();
    unlock?.();
  }
  process.exit();
}

class Service {
  readonly #place: Place;
  readonly #environment: NodeJS.ProcessEnv;
  #postgres: EmbeddedPostgres | null = null;
  #kept: RestartingProcess[] = [];
  #stopping = false;

  constructor(place: Place, environment: NodeJS.ProcessEnv) {
    this.#place = place;
    this.#environment = environment;
  }

  async start(): Promise<void> {
    const { home, host, port } = this.#place;
    if (!(await isPortFree(port, host)))
      throw new Error(`Port ${port} of ${host} is in use; choose another with LATHE_PORT`);
    const databaseUrl = this.#environment.DATABASE_URL || (await this.#startPostgres());
    await migrate(databaseUrl);
    if (this.#stopping) return;
    const environment = {
      ...this.#environment,
      LATHE_HOME: home,
      LATHE_HOST: host,
      LATHE_PORT: String(port),
      DATABASE_URL: databaseUrl,
    };
    const [api, supervisor] = [this.#keep('api', environment), this.#keep('supervisor', environment)];
    await Promise.race([Promise.all([this.#answering(), supervisor.ready]), this.#notReady()]);
    if (api.pid !== undefined && !this.#stopping)
      process.stdout.write(`Lathe is ready at http://${host.includes(':') ? `[${host}]` : host}:${port}\n`);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#kept.map((kept) => kept.stop(STOP_TIMEOUT_MS)));
    await this.#postgres?.stop();
  }

  #keep(name: 'api' | 'supervisor', environment: NodeJS.ProcessEnv): RestartingProcess {
    const logFile = join(this.#place.home, 'logs', `${name}.log`);
    const onExit = (description: string, restartMs: number) =>
      complain(`${description}; starting it again in ${restartMs} ms (log: ${logFile})`);
    const kept = new RestartingProcess({ name, environment, logFile, onExit });
    this.#kept.push(kept);
    return kept;
  }

  async #startPostgres(): Promise<string> {
    this.#postgres = await startPostgres(this.#place.home);
    void this.#postgres.ended.then(() => this.#restartPostgres());
    return this.#postgres.database('lathe');
  }

  async #restartPostgres(): Promise<void> {
    while (!this.#stopping) {
      complain('the embedded Postgres ended; starting it again');
      await sleep(500);
      try {
        await this.#startPostgres();
        return;
      } catch (error) {
        complain(String(error));
      }
    }
  }

  async #answering(): Promise<void> {
    while (!this.#stopping) {
      const response = await fetch(`http://${loopbackOf(this.#place.host)}:${this.#place.port}/readyz`).catch(
        () => null,
      );
      await response?.body?.cancel();
      if (response?.ok) return;
      await sleep(50);
    }
  }

  async #notReady(): Promise<never> {
    await sleep(READY_TIMEOUT_MS, undefined, { ref: false });
    throw new Error(
      `The service is not ready after ${READY_TIMEOUT_MS / 1000} s; its logs are in ${join(this.#place.home, 'logs')}`,
    );
  }
}

/** An address that listens everywhere is asked on loopback. */
function loopbackOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * Resolves at the first SIGTERM or SIGINT, or when npm, which started this process, is gone. A second signal ends this
 * process at once, unless it follows so closely that terminal and npm passed on the same one.
 */
function stopSignal(environment: NodeJS.ProcessEnv): Promise<void> {
  return new Promise((resolve) => {
    let askedAt: number | null = null;
    const ask = () => {
      if (askedAt !== null && performance.now() - askedAt > SAME_SIGNAL_MS) process.exit(130);
      askedAt ??= performance.now();
      resolve();
    };
    process.on('SIGTERM', ask);
    process.on('SIGINT', ask);
    if (environment.npm_lifecycle_event !== undefined) endWithParent(resolve);
  });
}
