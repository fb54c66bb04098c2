/**
 * What the API side stores and asks for; src/store/ implements it. Every read names the tenant: rows of another tenant
 * count as absent.
 */
import type { DatasetDescription } from '../../contracts/dataset.ts';
import type { JobRequest } from '../../contracts/job-request.ts';
import type { JobState } from '../../contracts/job-states.ts';
import type { ModelDescription } from '../../contracts/model.ts';
import type { Report, ReportWarning } from '../../contracts/report.ts';
import type { ErrorCode } from '../../errors.ts';
import type { JobEventType } from './events.ts';

export interface PageRequest {
  /** Id of the last item of the previous page; `null`: start with the newest. */
  readonly after: string | null;
  readonly limit: number;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Id to continue after; `null`: this is the last page. */
  readonly next: string | null;
}

interface Owned {
  readonly id: string;
  readonly tenantId: string;
  readonly name: string;
  readonly createdAt: Date;
}

interface Blob {
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface StoredModel extends Owned, Blob {
  readonly description: ModelDescription;
}

export interface StoredDataset extends Owned, Blob {
  readonly description: DatasetDescription;
  readonly options: Record<string, string>;
}

export interface StoredArtifact extends Owned, Blob {
  readonly format: string;
  readonly jobId: string;
  readonly modelId: string;
  readonly step: number | null;
}

export type StepState = 'pending' | 'running' | 'succeeded' | 'failed' | 'skipped';

export interface StoredStep {
  readonly index: number;
  readonly technique: string;
  readonly state: StepState;
  readonly progress: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly warnings: readonly ReportWarning[];
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
}

export interface StoredJob {
  readonly id: string;
  readonly tenantId: string;
  readonly name: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: JobState;
  readonly request: JobRequest;
  readonly modelId: string;
  readonly datasetId: string | null;
  readonly device: string;
  readonly attempt: number;
  readonly progress: number;
  readonly steps: readonly StoredStep[];
  readonly artifacts: readonly StoredArtifact[];
  readonly recommendedId: string | null;
  readonly report: Report | null;
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly retryable: boolean } | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
}

export interface StoredEvent {
  readonly seq: number;
  readonly type: JobEventType;
  readonly data: Readonly<Record<string, unknown>>;
  readonly createdAt: Date;
}

export type Removal =
  | { readonly outcome: 'removed'; readonly sha256: string }
  | { readonly outcome: 'not-found' }
  | { readonly outcome: 'in-use' };

export type NewModel = Omit<StoredModel, 'createdAt'>;
export interface ModelRepository {
  /** The same bytes of one tenant are one model: an existing one is returned. */
  add(model: NewModel): Promise<StoredModel>;
  find(tenantId: string, id: string): Promise<StoredModel | null>;
  findByContent(tenantId: string, sha256: string): Promise<StoredModel | null>;
  list(tenantId: string, page: PageRequest): Promise<Page<StoredModel>>;
  remove(tenantId: string, id: string): Promise<Removal>;
}

export type NewDataset = Omit<StoredDataset, 'createdAt'>;
export interface DatasetRepository {
  /** The same bytes read in the same way are one dataset. */
  add(dataset: NewDataset): Promise<StoredDataset>;
  find(tenantId: string, id: string): Promise<StoredDataset | null>;
  findByContent(tenantId: string, sha256: string, options: Record<string, string>): Promise<StoredDataset | null>;
  list(tenantId: string, page: PageRequest): Promise<Page<StoredDataset>>;
  remove(tenantId: string, id: string): Promise<Removal>;
}

export interface ArtifactRepository {
  find(tenantId: string, id: string): Promise<StoredArtifact | null>;
  list(tenantId: string, filter: { jobId?: string }, page: PageRequest): Promise<Page<StoredArtifact>>;
}

export interface NewJob {
  readonly id: string;
  readonly tenantId: string;
  readonly request: JobRequest;
  /** The job's model first, then the teachers. */
  readonly modelIds: readonly string[];
}

/** An Idempotency-Key and the hash of the request it came with. */
export interface IdempotencyClaim {
  readonly key: string;
  readonly fingerprint: string;
}

export interface IdempotencyRecord extends IdempotencyClaim {
  readonly jobId: string;
  /** The body of the first answer. */
  readonly answer: unknown;
}

/** `busy`: another request with this key is in progress. `missing`: a model or the dataset was deleted meanwhile. */
export type Insertion =
  | { readonly outcome: 'inserted'; readonly job: StoredJob; readonly answer: unknown }
  | { readonly outcome: 'repeated'; readonly record: IdempotencyRecord }
  | { readonly outcome: 'busy' | 'missing' | 'quota' };

export interface InsertOptions {
  readonly idempotency: IdempotencyClaim | null;
  /** Jobs that may be queued or running, this one included. */
  readonly activeJobs: number;
  /** The answer to the client, stored with the key. */
  answerOf(job: StoredJob): unknown;
}

export interface JobFilter {
  readonly states?: readonly JobState[];
  readonly labels?: readonly { readonly name: string; readonly value: string | null }[];
}

export interface JobRepository {
  /** Job, steps, first event, outbox row and idempotency record: all or nothing. */
  insert(job: NewJob, options: InsertOptions): Promise<Insertion>;
  idempotencyRecord(tenantId: string, key: string): Promise<IdempotencyRecord | null>;
  find(tenantId: string, id: string): Promise<StoredJob | null>;
  list(tenantId: string, filter: JobFilter, page: PageRequest): Promise<Page<StoredJob>>;
  /** Which of the jobs belong to the tenant. */
  ownedBy(tenantId: string, ids: readonly string[]): Promise<ReadonlySet<string>>;
  /** Asks to cancel the job. `null`: not found; otherwise whether it could be canceled, and the job as it is now. */
  cancel(tenantId: string, id: string): Promise<{ accepted: boolean; job: StoredJob } | null>;
  events(jobId: string, afterSeq: number, limit: number): Promise<StoredEvent[]>;
  /** All metrics of a job, ordered by step, epoch and name. */
  metrics(jobId: string): Promise<StoredMetric[]>;
  countByState(): Promise<Record<JobState, number>>;
  /** The jobs that ended after `since`, with how long they ran. */
  endedSince(since: Date): Promise<{ state: JobState; runSeconds: number | null; endedAt: Date }[]>;
}

export interface StoredMetric {
  readonly step: number;
  readonly epoch: number;
  readonly name: string;
  readonly value: number;
}

export type KeyRole = 'administrator' | 'member';

/** Who is asking. */
export interface Principal {
  readonly keyId: string;
  readonly tenantId: string;
  readonly role: KeyRole;
}

export interface StoredKey {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly role: KeyRole;
  readonly prefix: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
}

export interface NewKey {
  readonly id: string;
  /** Name of the tenant; created if it does not exist. */
  readonly tenant: string;
  readonly name: string;
  readonly role: KeyRole;
  readonly prefix: string;
  readonly mac: string;
}

export interface KeyRepository {
  /** `null`: there is no such key, or it was revoked. */
  authenticate(mac: string): Promise<Principal | null>;
  add(key: NewKey): Promise<StoredKey>;
  list(page: PageRequest): Promise<Page<StoredKey>>;
  revoke(id: string): Promise<boolean>;
}

export interface Usage {
  /** Whether any model, dataset or artifact has this content. */
  isReferenced(sha256: string): Promise<boolean>;
  storedBytes(tenantId: string): Promise<number>;
}
