/**
 * Joins a parameter server and a work queue: who takes part, who computes which batches from which weights, which update
 * comes next. Processes (with sockets and clocks) and the simulator (without) drive it by the same calls.
 */
import { entryOf } from '../../ir/checked-access.ts';
import type { ParameterServer, Pulled, ReadyUpdate } from './parameter-server.ts';
import { meanLosses, type WorkerResult } from './worker-result.ts';
import type { StalenessFigures } from './staleness.ts';
import type { WorkQueue, WorkUnit } from './work-queue.ts';

export interface CoordinatorSettings {
  /** Batches that a worker trains on by itself between two exchanges; 1: it sends gradients. */
  readonly localSteps: number;
  /** Slower workers take proportionally fewer local steps (arXiv 2401.09135, section 5). */
  readonly adaptsLocalSteps?: boolean;
}

export interface Assignment {
  readonly worker: string;
  readonly unit: WorkUnit;
  readonly pulled: Pulled;
}

/** What `next` gave, once it is applied. */
export interface AppliedUpdate {
  readonly workers: readonly string[];
  readonly staleness: number;
  readonly batches: readonly number[];
  readonly samples: number;
  /** Means over these samples. */
  readonly losses: readonly number[];
}

export interface WorkerFigures {
  /** Of what was applied. */
  readonly batches: number;
  readonly samples: number;
  /** Per batch, from handing out to delivery; null: nothing delivered yet. */
  readonly secondsPerBatch: number | null;
}

interface Member {
  batches: number;
  samples: number;
  handedOutAt: number;
  secondsPerBatch: number | null;
  pushed: { readonly unit: WorkUnit; readonly result: WorkerResult } | null;
}

/** Weight of the past in a worker's mean time per batch. */
const MEMORY = 0.7;

export class Coordinator {
  readonly #members = new Map<string, Member>();
  /** Of workers that have left. */
  readonly #left: (WorkerFigures & { worker: string })[] = [];
  /** In the order in which they became idle. */
  readonly #idle = new Set<string>();
  readonly #server: ParameterServer;
  readonly #queue: WorkQueue;
  readonly #settings: CoordinatorSettings;

  constructor(server: ParameterServer, queue: WorkQueue, settings: CoordinatorSettings = { localSteps: 1 }) {
    this.#server = server;
    this.#queue = queue;
    this.#settings = settings;
  }

  get members(): number {
    return this.#members.size;
  }

  /** All batches are computed and applied. */
  get isFinished(): boolean {
    return this.#queue.isFinished && [...this.#members.values()].every(({ pushed }) => pushed === null);
  }

  join(worker: string): void {
    this.#server.join(worker);
    this.#members.set(worker, { batches: 0, samples: 0, handedOutAt: 0, secondsPerBatch: null, pushed: null });
    this.#idle.add(worker);
  }

  /** Its work is handed out again; a push that waits is void. */
  leave(worker: string): void {
    const member = this.#members.get(worker);
    if (!member) return;
    if (member.pushed) this.#queue.giveBack(member.pushed.unit);
    this.#queue.leave(worker);
    this.#server.leave(worker);
    this.#members.delete(worker);
    this.#idle.delete(worker);
    this.#left.push({ worker, ...figuresOf(member) });
  }

  /** Work for those that are idle. @param now seconds, of any clock that only goes forward */
  assignments(now: number): Assignment[] {
    const given: Assignment[] = [];
    for (const worker of [...this.#idle]) {
      const unit = this.#queue.take(worker, this.#unitSize(worker));
      if (!unit) break;
      this.#idle.delete(worker);
      entryOf(this.#members, worker, 'worker').handedOutAt = now;
      given.push({ worker, unit, pulled: this.#server.pull(worker) });
    }
    return given;
  }

  /** What a worker computed. Void if another was faster with the same batches. */
  deliver(worker: string, result: WorkerResult, now: number): void {
    const member = entryOf(this.#members, worker, 'worker');
    const completed = this.#queue.complete(worker);
    if (!completed) {
      this.#idle.add(worker);
      return;
    }
    const { unit, others } = completed;
    const seconds = (now - member.handedOutAt) / unit.batches.length;
    member.secondsPerBatch =
      member.secondsPerBatch === null ? seconds : MEMORY * member.secondsPerBatch + (1 - MEMORY) * seconds;
    for (const other of others) this.#server.release(other);
    member.pushed = { unit, result };
    this.#server.push(worker, result.contribution);
  }

  /** The next update, or null: none is ready. */
  next(): ReadyUpdate | null {
    return this.#server.ready();
  }

  /** Applies it; `step` and rate are of its first batch. */
  apply(update: ReadyUpdate, settings: { step: number; learningRate: number }): AppliedUpdate {
    this.#server.apply(update, settings);
    const parts = update.workers.map((worker) => this.#finish(worker));
    const samples = parts.reduce((sum, { result }) => sum + result.contribution.samples, 0);
    const losses = meanLosses(
      parts.map(({ result }) => result),
      samples,
    );
    return { ...update, batches: parts.flatMap(({ unit }) => unit.batches), samples, losses };
  }

  staleness(): StalenessFigures {
    return this.#server.staleness();
  }

  /** Of all workers that ever took part. */
  workers(): readonly (WorkerFigures & { readonly worker: string })[] {
    return [...this.#left, ...[...this.#members].map(([worker, member]) => ({ worker, ...figuresOf(member) }))];
  }

  #finish(worker: string): { unit: WorkUnit; result: WorkerResult } {
    const member = entryOf(this.#members, worker, 'worker');
    const { pushed } = member;
    if (!pushed) throw new Error(`Worker "${worker}" has pushed nothing`);
    member.pushed = null;
    member.batches += pushed.unit.batches.length;
    member.samples += pushed.result.contribution.samples;
    this.#idle.add(worker);
    return pushed;
  }

  #unitSize(worker: string): number {
    const { localSteps, adaptsLocalSteps = false } = this.#settings;
    const own = this.#members.get(worker)?.secondsPerBatch ?? null;
    if (!adaptsLocalSteps || own === null || own <= 0) return localSteps;
    const times = [...this.#members.values()].flatMap(({ secondsPerBatch }) => secondsPerBatch ?? []);
    return Math.max(1, Math.round((localSteps * Math.min(...times)) / own));
  }
}

function figuresOf({ batches, samples, secondsPerBatch }: Member): WorkerFigures {
  return { batches, samples, secondsPerBatch };
}
