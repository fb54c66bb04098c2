/** Everything that is kept in Postgres, on one pool of connections. */
import { DEFAULT_MAX_ATTEMPTS } from '../jobs/limits.ts';
import type {
  ArtifactRepository,
  DatasetRepository,
  JobRepository,
  KeyRepository,
  ModelRepository,
  Usage,
} from '../jobs/ports/api-side.ts';
import type { RelayStore } from '../jobs/ports/relay.ts';
import type { WorkerJobStore, WorkerRegistry } from '../jobs/ports/worker-side.ts';
import { artifactRepository, usage } from './artifacts.ts';
import { connect } from './database.ts';
import { datasetRepository } from './datasets.ts';
import { jobRepository } from './jobs.ts';
import { keyRepository } from './keys.ts';
import { modelRepository } from './models.ts';
import { relayStore } from './relay-store.ts';
import { withUnavailableErrors } from './unavailable.ts';
import { workerJobStore } from './worker-jobs.ts';
import { workerRegistry } from './workers.ts';

export interface Store {
  readonly keys: KeyRepository;
  readonly models: ModelRepository;
  readonly datasets: DatasetRepository;
  readonly jobs: JobRepository;
  readonly artifacts: ArtifactRepository;
  readonly usage: Usage;
  readonly relay: RelayStore;
  /** Jobs as workers see them. */
  readonly workerJobs: WorkerJobStore;
  readonly workers: WorkerRegistry;
  ping(): Promise<void>;
  close(): Promise<void>;
}

/**
 * @param options connections: of the pool; maxAttempts: claims of one job before it is given up
 */
export function openStore(databaseUrl: string, { connections = 10, maxAttempts = DEFAULT_MAX_ATTEMPTS } = {}): Store {
  const database = connect(databaseUrl, connections);
  return {
    keys: withUnavailableErrors(keyRepository(database)),
    models: withUnavailableErrors(modelRepository(database)),
    datasets: withUnavailableErrors(datasetRepository(database)),
    jobs: withUnavailableErrors(jobRepository(database)),
    artifacts: withUnavailableErrors(artifactRepository(database)),
    usage: withUnavailableErrors(usage(database)),
    relay: withUnavailableErrors(relayStore(database)),
    workerJobs: withUnavailableErrors(workerJobStore(database, maxAttempts)),
    workers: withUnavailableErrors(workerRegistry(database)),
    async ping() {
      await database.$queryRaw`SELECT 1`;
    },
    async close() {
      await database.$disconnect();
    },
  };
}
