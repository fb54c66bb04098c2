/**
 * Asynchronous training on a virtual clock: the server's own code, real gradients, and delays from any distribution. The
 * same options and seed give the same weights, whatever the machine and its load.
 */
import { seededRandom } from '../../data/random.ts';
import type { AppliedUpdate, Assignment, Coordinator } from './coordinator.ts';
import type { WorkerResult } from './worker-result.ts';

export interface SimulatedWorker {
  readonly name: string;
  /** Seconds for one batch, with the exchange; drawn anew for each. */
  secondsPerBatch(random: () => number): number;
  /** Seconds; default 0. */
  readonly joinsAt?: number;
  /** Seconds; default: it stays. */
  readonly leavesAt?: number;
}

export interface SimulationOptions {
  readonly coordinator: Coordinator;
  readonly workers: readonly SimulatedWorker[];
  readonly seed: number;
  learningRate(step: number): number;
  compute(assignment: Assignment): Promise<WorkerResult> | WorkerResult;
  /** After each update; `seconds` is the virtual clock. */
  onUpdate?(update: AppliedUpdate, seconds: number): void | Promise<void>;
}

export interface Simulated {
  /** On the virtual clock, until the last update. */
  readonly seconds: number;
  readonly updates: number;
  readonly samples: number;
}

type Event = {
  readonly at: number;
  readonly order: number;
  /** Index. */
  readonly worker: number;
} & (
  | { readonly kind: 'join' }
  | { readonly kind: 'leave' }
  | { readonly kind: 'deliver'; readonly assignment: Assignment }
);

export async function simulate(options: SimulationOptions): Promise<Simulated> {
  return new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #events = new EventQueue();
  readonly #present = new Set<number>();
  readonly #index: ReadonlyMap<string, number>;
  readonly #draws: readonly (() => number)[];
  #step = 0;
  #updates = 0;
  #samples = 0;

  constructor(options: SimulationOptions) {
    const { workers, seed } = options;
    this.#options = options;
    this.#index = new Map(workers.map(({ name }, i) => [name, i]));
    this.#draws = workers.map((_, i) => seededRandom(seed, i));
    workers.forEach(({ joinsAt = 0, leavesAt }, worker) => {
      this.#events.add({ kind: 'join', at: joinsAt, worker });
      if (leavesAt !== undefined) this.#events.add({ kind: 'leave', at: leavesAt, worker });
    });
  }

  async run(): Promise<Simulated> {
    const { coordinator } = this.#options;
    let seconds = 0;
    while (!coordinator.isFinished) {
      const event = this.#events.take();
      if (!event) throw new Error('All workers have left before the training was done');
      await this.#handle(event);
      if (await this.#applyReady(event.at)) seconds = event.at;
      this.#handOut(event.at);
    }
    return { seconds, updates: this.#updates, samples: this.#samples };
  }

  async #handle(event: Event): Promise<void> {
    const { coordinator, workers, compute } = this.#options;
    const name = workers[event.worker]!.name;
    if (event.kind === 'join') {
      this.#present.add(event.worker);
      coordinator.join(name);
    } else if (event.kind === 'leave') {
      this.#present.delete(event.worker);
      coordinator.leave(name);
    } else if (this.#present.has(event.worker)) {
      coordinator.deliver(name, await compute(event.assignment), event.at);
    }
  }

  /** Whether there was any. */
  async #applyReady(now: number): Promise<boolean> {
    const { coordinator, learningRate, onUpdate } = this.#options;
    let any = false;
    for (let ready = coordinator.next(); ready; ready = coordinator.next()) {
      const applied = coordinator.apply(ready, { step: this.#step, learningRate: learningRate(this.#step) });
      this.#step += applied.batches.length;
      this.#samples += applied.samples;
      this.#updates++;
      any = true;
      await onUpdate?.(applied, now);
    }
    return any;
  }

  #handOut(now: number): void {
    for (const assignment of this.#options.coordinator.assignments(now)) {
      const worker = this.#index.get(assignment.worker)!;
      const { secondsPerBatch } = this.#options.workers[worker]!;
      const draw = this.#draws[worker]!;
      const seconds = assignment.unit.batches.reduce((sum) => sum + secondsPerBatch(draw), 0);
      this.#events.add({ kind: 'deliver', at: now + seconds, worker, assignment });
    }
  }
}

type NewEvent = Event extends infer Kind ? (Kind extends Event ? Omit<Kind, 'order'> : never) : never;

/** A binary heap by time; events of one moment in the order in which they were added. */
class EventQueue {
  readonly #heap: Event[] = [];
  #added = 0;

  add(event: NewEvent): void {
    this.#heap.push({ ...event, order: this.#added++ });
    for (let at = this.#heap.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  take(): Event | null {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (!first || !last) return null;
    if (this.#heap.length === 0) return first;
    this.#heap[0] = last;
    for (let at = 0; ; ) {
      const smallest = [2 * at + 1, 2 * at + 2].reduce(
        (least, child) => (child < this.#heap.length && this.#isBefore(child, least) ? child : least),
        at,
      );
      if (smallest === at) return first;
      this.#swap(at, smallest);
      at = smallest;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [x, y] = [this.#heap[a]!, this.#heap[b]!];
    return x.at < y.at || (x.at === y.at && x.order < y.order);
  }

  #swap(a: number, b: number): void {
    const held = this.#heap[a]!;
    this.#heap[a] = this.#heap[b]!;
    this.#heap[b] = held;
  }
}
