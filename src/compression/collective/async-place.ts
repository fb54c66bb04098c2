/**
 * A process's place in an asynchronous training: the server, which holds the weights, or a worker, which computes
 * gradients for it. All run the same step, so that each makes the same trainings in the same order; a worker that comes
 * late is given the ends of those that are over.
 */
import type { Connection } from './connection.ts';

export interface AsyncSettings {
  readonly staleness: { readonly max?: number; readonly scaleLearningRate?: boolean; readonly compensate?: boolean };
  /** 1: workers send the gradient of every batch. */
  readonly localSteps: number;
  /** Share of the gradient that is sent; 1: all. */
  readonly topK: number;
}

export interface AsyncFigures {
  /** Workers that took part. */
  readonly replicas: number;
  /** Batches trained on. */
  readonly steps: number;
  /** By worker: computing of a batch. */
  readonly stepMs: readonly number[];
  /** Of a batch, on the way to the worker and back. */
  readonly exchangeMs: number;
  /** Share of the workers' time without work. */
  readonly waitShare: number;
  readonly samplesPerSecond: readonly number[];
  /** Updates by their staleness. */
  readonly staleness: readonly number[];
}

export type AsyncPlace = AsyncServer | AsyncWorker;

/** Messages of a worker. `training` counts from 0 within the step. */
type FromWorker =
  | { readonly kind: 'ready'; readonly training: number }
  | { readonly kind: 'result'; readonly training: number; readonly result: unknown };
type FromServer = { readonly kind: 'work'; readonly work: unknown } | { readonly kind: 'end'; readonly end: unknown };

export interface ServedTraining {
  joined(worker: Connection): void;
  left(worker: Connection): void;
  received(worker: Connection, result: unknown): void;
}

export class AsyncServer {
  readonly role = 'server';
  readonly settings: AsyncSettings;
  /** Of the last training. */
  figures: AsyncFigures | null = null;
  /** Connections, with the training that each is ready for. */
  readonly #workers = new Map<Connection, number | null>();
  readonly #ends: unknown[] = [];
  #present: ServedTraining | null = null;
  #failure: Error | null = null;
  #fail: (error: Error) => void = () => undefined;

  constructor(settings: AsyncSettings) {
    this.settings = settings;
  }

  /** Living connections, those that have not joined the training yet included. */
  get connections(): number {
    return this.#workers.size;
  }

  /** A worker's process has started. */
  accept(worker: Connection): void {
    this.#workers.set(worker, null);
    worker.listen(
      (message) => this.#receive(worker, message as FromWorker),
      () => this.lose(worker),
    );
  }

  /** A worker is gone. */
  lose(worker: Connection): void {
    if (!this.#workers.has(worker)) return;
    const wasReady = this.#isReady(worker);
    this.#workers.delete(worker);
    if (wasReady) this.#present?.left(worker);
    if (this.#workers.size === 0) this.abort(new NoWorkers());
  }

  /** Ends the present training and later ones with this error. */
  abort(error: Error): void {
    this.#failure ??= error;
    this.#fail(this.#failure);
  }

  /** Begins the next training. @param fail is called when it cannot go on */
  begin(training: ServedTraining, fail: (error: Error) => void): void {
    this.#present = training;
    this.#fail = fail;
    if (this.#failure) fail(this.#failure);
    for (const worker of this.#workers.keys()) if (this.#isReady(worker)) training.joined(worker);
  }

  give(worker: Connection, work: unknown): void {
    worker.send({ kind: 'work', work } satisfies FromServer);
  }

  /** The present training is over. @param end for all workers, those that come later included */
  end(end: unknown): void {
    const ready = [...this.#workers.keys()].filter((worker) => this.#isReady(worker));
    this.#present = null;
    this.#fail = () => undefined;
    this.#ends.push(end);
    for (const worker of ready) worker.send({ kind: 'end', end } satisfies FromServer);
  }

  #isReady(worker: Connection): boolean {
    return this.#workers.get(worker) === this.#ends.length;
  }

  #receive(worker: Connection, message: FromWorker): void {
    const isPast = message.training < this.#ends.length;
    if (message.kind === 'ready') {
      this.#workers.set(worker, message.training);
      if (isPast) worker.send({ kind: 'end', end: this.#ends[message.training] } satisfies FromServer);
      else this.#present?.joined(worker);
    } else if (!isPast) this.#present?.received(worker, message.result);
  }
}

/** Every worker is gone. */
export class NoWorkers extends Error {
  constructor() {
    super('Every worker of the training is gone');
    this.name = 'NoWorkers';
  }
}

export class AsyncWorker {
  readonly role = 'worker';
  readonly settings: AsyncSettings;
  readonly #server: Connection;
  readonly #inbox: FromServer[] = [];
  #training = 0;
  #closed = false;
  #wake: () => void = () => undefined;

  constructor(server: Connection, settings: AsyncSettings) {
    this.settings = settings;
    this.#server = server;
    server.listen(
      (message) => {
        this.#inbox.push(message as FromServer);
        this.#wake();
      },
      () => {
        this.#closed = true;
        this.#wake();
      },
    );
  }

  /**
   * Takes part in the next training until its end, which it returns.
   * @param compute the result of one piece of work
   * @throws Error if the server is gone
   */
  async takePart(compute: (work: unknown) => Promise<unknown>): Promise<unknown> {
    const training = this.#training++;
    this.#send({ kind: 'ready', training });
    for (;;) {
      const message = await this.#next();
      if (message.kind === 'end') return message.end;
      this.#send({ kind: 'result', training, result: await compute(message.work) });
    }
  }

  #send(message: FromWorker): void {
    this.#server.send(message);
  }

  async #next(): Promise<FromServer> {
    for (;;) {
      const message = this.#inbox.shift();
      if (message) return message;
      if (this.#closed) throw new Error('The server of the training is gone');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
