/** Samples that could not be decoded: counted, and too many are an error. */
import { LatheError } from '../../../errors.ts';
import type { Split } from '../dataset.ts';
import type { BrokenSample } from './batch-maker.ts';

export const DEFAULT_MAX_BROKEN_SHARE = 0.01;
const MAX_NAMED = 5;

export class BrokenSamples {
  private readonly reasons = new Map<number, string>();
  private readonly split: Split;
  private readonly maxShare: number;

  constructor(split: Split, maxShare: number = DEFAULT_MAX_BROKEN_SHARE) {
    this.split = split;
    this.maxShare = maxShare;
  }

  get count(): number {
    return this.reasons.size;
  }

  /** @throws LatheError `malformed-dataset` with the first files, where their share is too large */
  add(found: readonly BrokenSample[]): void {
    for (const { sample, reason } of found) this.reasons.set(sample, reason);
    if (found.length === 0 || this.count <= this.maxShare * this.split.length) return;
    const message = `${this.describe()}; more than ${this.maxShare * 100} % of the samples (loader.maxBrokenShare)`;
    throw new LatheError(
      'malformed-dataset',
      `${message}. Replace these files and upload the dataset again`,
      this.named(),
    );
  }

  /** `2 of 300 samples cannot be read: a/1.jpg (...), ...`. */
  describe(): string {
    const named = this.named().map(({ path, message }) => `"${path}" (${message})`);
    const more = this.count > named.length ? ` and ${this.count - named.length} more` : '';
    return `${this.count} of ${this.split.length} samples cannot be read: ${named.join(', ')}${more}`;
  }

  private named(): { path: string; message: string }[] {
    const first = [...this.reasons].sort(([a], [b]) => a - b).slice(0, MAX_NAMED);
    return first.map(([sample, message]) => ({ path: this.split.nameOf?.(sample) ?? `sample ${sample}`, message }));
  }
}
