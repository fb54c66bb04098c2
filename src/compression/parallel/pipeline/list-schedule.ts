/**
 * Schedules for any graph of stages, by list scheduling (Graham 1969): whenever a part is free, it takes of what is
 * ready a backward pass before a forward one, and computes gradients of weights while there is nothing else to do. It
 * finds 1F1B for a chain, and runs branches side by side; it does not find ZB-H1, which lets a part wait at times.
 */
import { elementAt } from '../../ir/checked-access.ts';
import type { Pass, PassKind, Schedule, StageLinks } from './schedule.ts';
import { dependencies, keyOf } from './pass-order.ts';

/** Time of each kind of pass of a stage, in any one unit. `weights: null`: part of `backward`. */
export interface PassCosts {
  readonly forward: number;
  readonly backward: number;
  readonly weights: number | null;
}

export interface ListOptions {
  readonly stages: readonly (StageLinks & { readonly costs: PassCosts })[];
  readonly microBatches: number;
  /** By stage, how many micro-batches may be under way at a time: what their activations take. */
  readonly inFlight: readonly number[];
}

/** @throws Error where a stage may hold no micro-batch at all */
export function listSchedule(options: ListOptions): Schedule {
  const scheduler = new ListScheduler(options);
  while (scheduler.step());
  return scheduler.parts;
}

const PRIORITY: Readonly<Record<PassKind, number>> = { backward: 0, forward: 1, weights: 2 };

interface Candidate {
  readonly pass: Pass;
  readonly start: number;
}

class ListScheduler {
  readonly parts: Pass[][];
  private readonly free: number[];
  private readonly ends = new Map<string, number>();
  private readonly options: ListOptions;
  /** By stage and kind, how many passes were placed: micro-batches go in order. */
  private readonly placed: Readonly<Record<PassKind, number>>[];

  constructor(options: ListOptions) {
    this.options = options;
    const parts = Math.max(0, ...options.stages.map(({ part }) => part + 1));
    this.parts = Array.from({ length: parts }, () => []);
    this.free = new Array<number>(parts).fill(0);
    this.placed = options.stages.map(() => ({ forward: 0, backward: 0, weights: 0 }));
  }

  /** Places the pass that can start first; false where all are placed. */
  step(): boolean {
    const [first, ...others] = this.options.stages.flatMap((_, stage) => this.candidates(stage));
    if (!first) {
      if (this.placed.some(({ backward }) => backward < this.options.microBatches))
        throw new Error('No pass can run: every stage must be allowed a micro-batch under way');
      return false;
    }
    this.place(others.reduce((best, other) => (isBefore(other, best) ? other : best), first));
    return true;
  }

  private place({ pass, start }: Candidate): void {
    const { part, costs } = elementAt(this.options.stages, pass.stage, 'stage');
    const end = start + (costs[pass.kind] ?? 0);
    this.ends.set(keyOf(pass), end);
    this.free[part] = end;
    elementAt(this.parts, part, 'part').push(pass);
    const counts = elementAt(this.placed, pass.stage, 'stage');
    this.placed[pass.stage] = { ...counts, [pass.kind]: counts[pass.kind] + 1 };
  }

  /** The next pass of each kind, where it may run. */
  private candidates(stage: number): Candidate[] {
    const { costs, part } = elementAt(this.options.stages, stage, 'stage');
    const counts = elementAt(this.placed, stage, 'stage');
    const kinds: PassKind[] = costs.weights === null ? ['forward', 'backward'] : ['forward', 'backward', 'weights'];
    const held = counts.forward - (costs.weights === null ? counts.backward : counts.weights);
    return kinds.flatMap((kind) => {
      const pass = { kind, stage, microBatch: counts[kind] };
      if (pass.microBatch >= this.options.microBatches) return [];
      if (kind === 'forward' && held >= elementAt(this.options.inFlight, stage, 'limit')) return [];
      const needed = dependencies(pass, this.options.stages).map((key) => this.ends.get(key));
      if (needed.includes(undefined)) return [];
      return [{ pass, start: Math.max(elementAt(this.free, part, 'part'), ...needed.map((end) => end ?? 0)) }];
    });
  }
}

function isBefore(a: Candidate, b: Candidate): boolean {
  if (a.start !== b.start) return a.start < b.start;
  const [p, q] = [PRIORITY[a.pass.kind], PRIORITY[b.pass.kind]];
  return p === q ? a.pass.microBatch < b.pass.microBatch : p < q;
}
