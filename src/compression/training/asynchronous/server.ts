/**
 * The training loop's epochs where workers compute the gradients: hands out batches in the loop's order, applies what
 * comes back as it comes, and counts batches as the loop does, so that schedules, pruning and epochs mean the same. An
 * epoch ends when as many batches as it has are applied, whichever they were: nobody waits for the slowest at its end.
 */
import type { AsyncServer, ServedTraining } from '../../collective/async-place.ts';
import type { Connection } from '../../collective/connection.ts';
import type { BatchSource } from '../../data/dataset.ts';
import { entryOf } from '../../ir/checked-access.ts';
import { Coordinator, type AppliedUpdate, type Assignment } from '../../parallel/async/coordinator.ts';
import { decodeSparse } from '../../parallel/async/gradient-encoding.ts';
import { ParameterServer, type ReadyUpdate } from '../../parallel/async/parameter-server.ts';
import type { Tensors } from '../../parallel/async/tensors.ts';
import { toDense } from '../../parallel/async/top-k.ts';
import { WorkQueue } from '../../parallel/async/work-queue.ts';
import type { LearningRate } from '../schedule.ts';
import { takeSnapshot } from '../snapshot.ts';
import type { TrainingStepParts } from '../step.ts';
import { BatchFeed } from './batch-feed.ts';
import { engineStore, type EngineStore } from './engine-store.ts';
import type { End, Result, Work } from './messages.ts';
import type { ServerOptimizer } from './server-optimizer.ts';
import { WorkerTimes } from './worker-times.ts';

export interface ServeOptions {
  readonly parts: TrainingStepParts & { readonly optimizer: ServerOptimizer };
  readonly server: AsyncServer;
  readonly source: BatchSource;
  readonly epochs: number;
  /** Counts from where the training begins or resumes. */
  readonly position: { readonly epoch: number; readonly step: number };
  readonly learningRate: LearningRate;
  readonly beforeStep?: (step: number) => void;
  /** After each update; moves the position on by its batches. */
  readonly onUpdate: (update: AppliedUpdate) => void | Promise<void>;
  readonly signal: AbortSignal;
}

export interface ServedEpochs {
  /** Trains until the present epoch's batches are applied. @throws NoWorkers */
  epoch(): Promise<void>;
  /** Tells the workers that the training is over. */
  end(trained: unknown): void;
  dispose(): void;
}

export function serveEpochs(options: ServeOptions): ServedEpochs {
  const store = engineStore(options.parts, options.parts.optimizer.scalarsOf?.bind(options.parts.optimizer));
  let served: Served | null = null;
  return {
    epoch: async () => (served ??= new Served(options, store)).epoch(),
    end: (trained) => {
      const end: End = { values: store.values(), statistics: store.statistics(), trained };
      served ??= new Served(options, store);
      served.end(end);
    },
    dispose: () => {
      served?.close();
      store.dispose();
    },
  };
}

class Served implements ServedTraining {
  readonly #options: ServeOptions;
  readonly #server: ParameterServer;
  readonly #coordinator: Coordinator;
  readonly #feed: BatchFeed;
  readonly #like: Tensors;
  readonly #connections = new Map<string, Connection>();
  readonly #times = new WorkerTimes();
  /** The next step that `beforeStep` has not seen. */
  #prepared: number;
  #failure: Error | null = null;
  #wake: () => void = () => undefined;
  readonly #onAbort = () => this.#wake();

  constructor(options: ServeOptions, store: EngineStore) {
    const { source, epochs, position, server, signal } = options;
    const { staleness, localSteps } = server.settings;
    this.#options = options;
    this.#like = store.values();
    this.#server = new ParameterServer(store, staleness);
    const queue = new WorkQueue([position.step, source.batchesPerEpoch * epochs]);
    this.#coordinator = new Coordinator(this.#server, queue, { localSteps, adaptsLocalSteps: true });
    this.#feed = new BatchFeed(source, position.step, epochs);
    this.#prepared = position.step;
    signal.addEventListener('abort', this.#onAbort);
    server.begin(this, (error) => {
      this.#failure = error;
      this.#wake();
    });
  }

  async epoch(): Promise<void> {
    const { position, source, signal, beforeStep, learningRate, onUpdate } = this.#options;
    const end = (position.epoch + 1) * source.batchesPerEpoch;
    while (position.step < end) {
      signal.throwIfAborted();
      while (beforeStep && this.#prepared <= position.step) beforeStep(this.#prepared++);
      this.#server.refresh();
      const ready = await this.#nextUpdate();
      const { step } = position;
      const applied = this.#coordinator.apply(ready, { step, learningRate: learningRate(step) });
      for (const batch of applied.batches) this.#feed.done(batch);
      await onUpdate(applied);
    }
    this.#record();
  }

  end(end: End): void {
    this.#record();
    this.#options.server.end(end);
  }

  close(): void {
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    void this.#feed.close();
  }

  joined(worker: Connection): void {
    this.#connections.set(worker.name, worker);
    this.#coordinator.join(worker.name);
    this.#times.joined(worker.name, performance.now());
    this.#wake();
  }

  left(worker: Connection): void {
    this.#coordinator.leave(worker.name);
    this.#wake();
  }

  received(worker: Connection, message: unknown): void {
    const { gradient, losses, computeMs, batches, ...rest } = message as Result;
    const dense = gradient instanceof Uint8Array ? toDense(decodeSparse(gradient, this.#like, 'float32')) : gradient;
    const now = performance.now();
    this.#times.received(worker.name, { batches, samples: rest.samples, computeMs }, now);
    this.#coordinator.deliver(worker.name, { contribution: { ...rest, gradient: dense }, losses }, now / 1000);
    this.#wake();
  }

  async #nextUpdate(): Promise<ReadyUpdate> {
    for (;;) {
      this.#options.signal.throwIfAborted();
      if (this.#failure) throw this.#failure;
      await this.#handOut();
      const ready = this.#coordinator.next();
      if (ready) return ready;
      await this.#nextEvent();
    }
  }

  /** A message, a worker that joins or leaves, an abort. */
  async #nextEvent(): Promise<void> {
    if (this.#failure || this.#options.signal.aborted) return;
    await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  async #handOut(): Promise<void> {
    for (const assignment of this.#coordinator.assignments(performance.now() / 1000)) {
      const work = await this.#workOf(assignment);
      this.#times.handedOut(assignment.worker, performance.now());
      this.#options.server.give(entryOf(this.#connections, assignment.worker, 'worker'), work);
    }
  }

  async #workOf({ unit, pulled }: Assignment): Promise<Work> {
    const { parts, learningRate, server } = this.#options;
    const batches = [];
    for (const step of unit.batches)
      batches.push({ batch: await this.#feed.get(step), step, learningRate: learningRate(step) });
    const held = server.settings.localSteps > 1 ? parts.constraints.flatMap(({ variables }) => variables) : [];
    return { values: pulled.values, statistics: pulled.statistics, constraints: takeSnapshot(held), batches };
  }

  #record(): void {
    const times = this.#times.figures();
    const steps = this.#coordinator.workers().reduce((sum, { batches }) => sum + batches, 0);
    this.#options.server.figures = {
      replicas: times.stepMs.length,
      steps,
      staleness: this.#coordinator.staleness().histogram,
      ...times,
    };
  }
}
