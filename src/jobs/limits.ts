import type { TenantLimits, TenantLimitSource } from './ports/tenant-limits.ts';

/** What one service may use, whoever asks. */
export interface ServiceLimits {
  /** Of one key, or of one address without a key: counted before the key, and so the tenant, is looked up. */
  readonly requestsPerMinute: number;
  readonly uploadsAtOnce: number;
  /** Parsers at a time: each is a child process. */
  readonly inspectionsAtOnce: number;
  /** Workers that may be lost under one job before it fails with `worker-lost`. */
  readonly maxAttempts: number;
}

export const DEFAULT_MAX_ATTEMPTS = 5;

/** Every tenant may use the same. */
export function sameForEveryTenant(limits: TenantLimits): TenantLimitSource {
  return { limitsOf: async () => limits };
}
