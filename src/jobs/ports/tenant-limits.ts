/** What one tenant may use, asked anew for each upload and submission. */
export interface TenantLimits {
  /** Bounds on one upload. */
  readonly modelBytes: number;
  readonly datasetBytes: number;
  /** Models, datasets and artifacts together. */
  readonly storedBytes: number;
  /** Jobs queued or running. */
  readonly activeJobs: number;
}

/** Where the limits of a tenant come from; `jobs/limits.ts` implements it with the configuration. */
export interface TenantLimitSource {
  limitsOf(tenantId: string): Promise<TenantLimits>;
}
