/**
 * Batches handed out to whoever asks, in the global order. What a lost worker held comes first again. When no batch is
 * left, whoever is idle repeats the oldest under way and the first result counts, so that a slow worker does not hold up
 * the end (backup tasks: Dean and Ghemawat 2004, section 3.6).
 */

/** Consecutive batches for one worker, by their number in the training. */
export interface WorkUnit {
  readonly batches: readonly number[];
}

/** Workers that compute the same unit at a time. */
const MAX_HOLDERS = 2;

export class WorkQueue {
  #next: number;
  readonly #end: number;
  readonly #returned: WorkUnit[] = [];
  /** Under way, in the order of handing out. */
  readonly #holders = new Map<WorkUnit, Set<string>>();
  readonly #held = new Map<string, WorkUnit>();

  /** @param batches first number, and the number after the last */
  constructor([first, end]: readonly [number, number]) {
    this.#next = first;
    this.#end = end;
  }

  /** @param size batches of a fresh unit */
  take(worker: string, size = 1): WorkUnit | null {
    if (this.#held.has(worker)) throw new Error(`Worker "${worker}" asks for work and has some`);
    const unit = this.#returned.shift() ?? this.#fresh(size) ?? this.#oldestUnderWay();
    if (!unit) return null;
    this.#held.set(worker, unit);
    this.#holders.set(unit, (this.#holders.get(unit) ?? new Set()).add(worker));
    return unit;
  }

  /** The unit that the worker held, and who else computes it in vain; null: another was faster. */
  complete(worker: string): { readonly unit: WorkUnit; readonly others: readonly string[] } | null {
    const unit = this.#held.get(worker);
    if (!unit) throw new Error(`Worker "${worker}" completes work and has none`);
    this.#held.delete(worker);
    const holders = this.#holders.get(unit);
    if (!holders) return null;
    this.#holders.delete(unit);
    return { unit, others: [...holders].filter((holder) => holder !== worker) };
  }

  /** A lost worker's unit is handed out again, unless another computes it too. */
  leave(worker: string): void {
    const unit = this.#held.get(worker);
    this.#held.delete(worker);
    const holders = unit && this.#holders.get(unit);
    if (!unit || !holders?.delete(worker) || holders.size > 0) return;
    this.#holders.delete(unit);
    this.#returned.push(unit);
  }

  /** A unit that was completed and could not be applied: its worker has left since. */
  giveBack(unit: WorkUnit): void {
    this.#returned.push(unit);
  }

  /** All batches are computed. */
  get isFinished(): boolean {
    return this.#next >= this.#end && this.#returned.length === 0 && this.#holders.size === 0;
  }

  #fresh(size: number): WorkUnit | null {
    const count = Math.min(size, this.#end - this.#next);
    if (count <= 0) return null;
    const batches = Array.from({ length: count }, (_, i) => this.#next + i);
    this.#next += count;
    return { batches };
  }

  #oldestUnderWay(): WorkUnit | null {
    for (const [unit, holders] of this.#holders) if (holders.size < MAX_HOLDERS) return unit;
    return null;
  }
}
