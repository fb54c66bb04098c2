/** Wake-ups from the database; src/store/ implements this. */

/**
 * Tells when something was written: a wake-up, not the thing itself. Lost ones are made up for by looking now and then.
 */
export interface ChangeFeed {
  /** @returns how to stop listening */
  onEvent(jobId: string, wake: () => void): () => void;
  onOutbox(wake: () => void): () => void;
}
