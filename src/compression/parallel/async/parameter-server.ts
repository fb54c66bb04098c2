/**
 * A parameter server without process, clock or socket: workers pull weights with their version and push what they
 * computed from them; each update makes a new version, and its staleness is the number of versions since the pull.
 *
 * With a bound on staleness (stale synchronous parallel, Ho et al. 2013, counted in updates), a push that would make the
 * weights of a worker still computing too old waits for it. Pushes that wait at the bound are averaged into one update:
 * bound 0 is synchronous training.
 */
import { entryOf } from '../../ir/checked-access.ts';
import { delayCompensation, type Compensation } from './delay-compensation.ts';
import type { ParameterStore } from './parameter-store.ts';
import { mergeStatistics } from './running-statistics.ts';
import { StalenessHistogram, type StalenessFigures } from './staleness.ts';
import { weightedMean, type Tensors } from './tensors.ts';

export interface StalenessSettings {
  /** Default: no bound. */
  readonly max?: number;
  /** Learning rate over staleness (Zhang et al. 2016, arXiv 1511.05950). */
  readonly scaleLearningRate?: boolean;
  /** Corrects late gradients (delay-compensation.ts). */
  readonly compensate?: boolean;
}

export interface Pulled {
  readonly version: number;
  readonly values: Tensors;
  readonly statistics: Tensors;
}

/** What a worker computed from the weights that it pulled. */
export interface Contribution {
  /** Mean over its samples; or, of local steps, the weights before less after. */
  readonly gradient: Tensors;
  readonly statistics: Tensors;
  readonly samples: number;
}

interface Pushed {
  readonly pulled: Pulled;
  readonly contribution: Contribution;
}

/** Contributions that make one update. */
export interface ReadyUpdate {
  readonly workers: readonly string[];
  /** The same for all of them. */
  readonly staleness: number;
}

export class ParameterServer {
  #version = 0;
  #latest: Pulled | null = null;
  readonly #members = new Set<string>();
  /** Who has pulled and not pushed yet. */
  readonly #computing = new Map<string, Pulled>();
  /** Who has pushed what is not applied yet, in this order. */
  readonly #waiting = new Map<string, Pushed>();
  readonly #staleness = new StalenessHistogram();
  readonly #store: ParameterStore;
  readonly #settings: StalenessSettings;
  readonly #compensate: Compensation | null;

  constructor(store: ParameterStore, settings: StalenessSettings = {}) {
    this.#store = store;
    this.#settings = settings;
    this.#compensate = settings.compensate ? delayCompensation(store.values()) : null;
  }

  get version(): number {
    return this.#version;
  }

  get members(): number {
    return this.#members.size;
  }

  staleness(): StalenessFigures {
    return this.#staleness.figures();
  }

  join(worker: string): void {
    if (this.#members.has(worker)) throw new Error(`Worker "${worker}" takes part already`);
    this.#members.add(worker);
  }

  /** What it computes, or has pushed and not seen applied, is void. */
  leave(worker: string): void {
    this.#members.delete(worker);
    this.#computing.delete(worker);
    this.#waiting.delete(worker);
  }

  /** The weights were changed other than by an update: pulls from now on see it. */
  refresh(): void {
    this.#latest = null;
  }

  pull(worker: string): Pulled {
    if (!this.#members.has(worker)) throw new Error(`Worker "${worker}" pulls and has not joined`);
    if (this.#computing.has(worker) || this.#waiting.has(worker))
      throw new Error(`Worker "${worker}" pulls and owes a push`);
    this.#latest ??= {
      version: this.#version,
      values: this.#store.values(),
      statistics: this.#store.statistics(),
    };
    this.#computing.set(worker, this.#latest);
    return this.#latest;
  }

  /** Takes a contribution; `ready` says when it can be applied. */
  push(worker: string, contribution: Contribution): void {
    const pulled = this.#computing.get(worker);
    if (!pulled) throw new Error(`Worker "${worker}" pushes and has not pulled`);
    this.#computing.delete(worker);
    this.#waiting.set(worker, { pulled, contribution });
  }

  /** A worker gives back what it pulled without a push. */
  release(worker: string): void {
    this.#computing.delete(worker);
  }

  /** The next update; null while none has been pushed, or all that were wait for a worker at the bound. */
  ready(): ReadyUpdate | null {
    const { max = Infinity } = this.#settings;
    const [first] = this.#waiting;
    if (!first || this.#wouldLeaveBehind(max)) return null;
    const atBound = max < Infinity ? [...this.#waiting].filter((push) => this.#stalenessOf(push) >= max) : [];
    const chosen = atBound.length > 0 ? atBound : [first];
    return { workers: chosen.map(([worker]) => worker), staleness: this.#stalenessOf(chosen[0] ?? first) };
  }

  /** Applies what `ready` gave; its workers may pull again. */
  apply({ workers, staleness }: ReadyUpdate, { step, learningRate }: { step: number; learningRate: number }): void {
    const now = this.#compensate && staleness > 0 ? this.#store.values() : null;
    const parts = workers.map((worker) => {
      const { pulled, contribution } = entryOf(this.#waiting, worker, 'push of worker');
      const { gradient, statistics, samples } = contribution;
      const corrected = this.#compensate && now ? this.#compensate(gradient, now, pulled.values) : gradient;
      return { tensors: corrected, weight: samples, moved: { after: statistics, before: pulled.statistics } };
    });
    const rate = this.#settings.scaleLearningRate ? learningRate / Math.max(1, staleness) : learningRate;
    const contributions = workers.length;
    this.#store.update(weightedMean(parts), { step, learningRate: rate, contributions, members: this.members });
    this.#store.setStatistics(mergeStatistics(this.#store.statistics(), parts, staleness));
    for (const worker of workers) {
      this.#staleness.add(staleness);
      this.#waiting.delete(worker);
    }
    this.#version++;
    this.#latest = null;
  }

  #stalenessOf([, { pulled }]: readonly [string, Pushed]): number {
    return this.#version - pulled.version;
  }

  /** Would one more update make the weights of a worker still computing older than the bound? */
  #wouldLeaveBehind(max: number): boolean {
    return max < Infinity && [...this.#computing.values()].some(({ version }) => this.#version + 1 - version > max);
  }
}
