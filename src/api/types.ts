/** The application as its plugins and routes see it. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { Registry } from 'prom-client';
import type { Config } from '../config/config.ts';
import type { BlobListing, BlobReferences } from '../jobs/blob-references.ts';
import type { ServiceLimits } from '../jobs/limits.ts';
import type {
  ArtifactRepository,
  DatasetRepository,
  JobRepository,
  KeyRepository,
  ModelRepository,
  Principal,
  Usage,
} from '../jobs/ports/api-side.ts';
import type { BlobStore } from '../jobs/ports/blobs.ts';
import type { ChangeFeed } from '../jobs/ports/change-feed.ts';
import type { Inspector } from '../jobs/ports/inspector.ts';
import type { JobQueue } from '../jobs/ports/queue.ts';
import type { TenantLimitSource } from '../jobs/ports/tenant-limits.ts';
import type { WorkerRegistry } from '../jobs/ports/worker-side.ts';
import type { Log } from '../log.ts';
import type { KeyGenerator } from './key-generator.ts';

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** What the routes depend on: put together by server.ts, and by tests. */
export interface ApiDeps {
  readonly store: {
    readonly keys: KeyRepository;
    readonly models: ModelRepository;
    readonly datasets: DatasetRepository;
    readonly jobs: JobRepository;
    readonly artifacts: ArtifactRepository;
    readonly usage: Usage;
    readonly workers: WorkerRegistry;
    ping(): Promise<void>;
  };
  readonly queue: JobQueue;
  readonly blobs: BlobStore & BlobListing & { check(): Promise<void> };
  readonly blobReferences: BlobReferences;
  readonly inspector: Inspector;
  readonly feed: ChangeFeed;
  readonly keys: KeyGenerator;
  readonly limits: ServiceLimits;
  readonly tenantLimits: TenantLimitSource;
  readonly trustProxy: Config['trustProxy'];
  readonly log: Log;
  readonly metrics: Registry;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is asking; set in everything under /v1. */
    principal: Principal;
  }
  interface FastifyContextConfig {
    /** Media types of the answers, for the Accept header; JSON where nothing is said. */
    produces?: readonly string[];
  }
}
