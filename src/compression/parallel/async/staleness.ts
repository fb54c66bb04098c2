/** How late updates came. */

export interface StalenessFigures {
  /** Updates by staleness, from 0. */
  readonly histogram: readonly number[];
  readonly mean: number;
  readonly max: number;
}

export class StalenessHistogram {
  readonly #counts: number[] = [];

  add(staleness: number): void {
    while (this.#counts.length <= staleness) this.#counts.push(0);
    this.#counts[staleness] = (this.#counts[staleness] ?? 0) + 1;
  }

  figures(): StalenessFigures {
    const counts = this.#counts;
    const updates = counts.reduce((sum, count) => sum + count, 0);
    const sum = counts.reduce((total, count, staleness) => total + count * staleness, 0);
    return { histogram: [...counts], mean: updates > 0 ? sum / updates : 0, max: Math.max(0, counts.length - 1) };
  }
}
