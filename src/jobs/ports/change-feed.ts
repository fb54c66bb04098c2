/** Wake-ups from the database; src/store/ implements this. */

/** Signals that something was written, without saying what. Signals may get lost, so listeners also poll. */
export interface ChangeFeed {
  /** @returns stops listening */
  onEvent(jobId: string, wake: () => void): () => void;
  onOutbox(wake: () => void): () => void;
}
