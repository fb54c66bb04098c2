/** What one service, and one tenant of it, may use. */
export interface Limits {
  /** Bounds on one upload. */
  readonly modelBytes: number;
  readonly datasetBytes: number;
  /** Models, datasets and artifacts together. */
  readonly storedBytesPerTenant: number;
  /** Jobs queued or running. */
  readonly activeJobsPerTenant: number;
  /** Of one key, or of one address without a key. */
  readonly requestsPerMinute: number;
  readonly uploadsAtOnce: number;
  /** Parsers at a time: each is a child process. */
  readonly inspectionsAtOnce: number;
  /** Workers that may be lost under one job before it fails with `worker-lost`. */
  readonly maxAttempts: number;
}

export const DEFAULT_MAX_ATTEMPTS = 5;
