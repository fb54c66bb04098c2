/** The share of the time that the training waited for batches. */
export class WaitClock {
  private waitedMs = 0;
  private workedMs = 0;

  add(waitMs: number, workMs: number): void {
    this.waitedMs += waitMs;
    this.workedMs += workMs;
  }

  /** 0..1; null before the first batch. */
  get waitShare(): number | null {
    const total = this.waitedMs + this.workedMs;
    return total > 0 ? this.waitedMs / total : null;
  }
}
