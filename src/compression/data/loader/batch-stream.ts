/** The batches of an epoch in order, made in this process or by worker threads, a bounded number of them ahead. */
import { availableParallelism } from 'node:os';
import type { Batch, HostArray, Split } from '../dataset.ts';
import { BatchMaker, type BatchRequest, type MakerOptions } from './batch-maker.ts';
import { BrokenSamples } from './broken-samples.ts';
import { WaitClock } from './clock.ts';
import { fixedChoice, measuredChoice, type WorkerChoice } from './worker-choice.ts';
import { startPool, type WorkerPool } from './worker-pool.ts';

export interface StreamOptions extends MakerOptions {
  readonly numWorkers: number | 'auto' | 'cores';
  readonly maxBrokenShare?: number;
}

/** Bytes of batches that are made ahead; two are, however large. */
const MAX_BYTES_AHEAD = 2 ** 30;

export class BatchStream {
  readonly clock = new WaitClock();
  readonly broken: BrokenSamples;
  private readonly split: Split;
  private readonly options: StreamOptions;
  private readonly maker: BatchMaker;
  private readonly choice: WorkerChoice;
  private pool: WorkerPool | null = null;
  private readonly free = { own: new FreeBuffers(ArrayBuffer), shared: new FreeBuffers(SharedArrayBuffer) };

  constructor(split: Split, options: StreamOptions) {
    const cores = availableParallelism();
    this.split = split;
    this.options = options;
    this.maker = new BatchMaker(split, options, Math.min(4, cores));
    this.broken = new BrokenSamples(split, options.maxBrokenShare);
    this.choice = chooseWorkers(split, options.numWorkers, cores);
  }

  get workers(): number {
    return this.choice.workers;
  }

  async *run(requests: readonly BatchRequest[]): AsyncGenerator<Batch> {
    const ahead: Promise<Batch>[] = [];
    let next = 0;
    let isDone = false;
    let deliveredAt: number | null = null;
    try {
      for (let at = 0; at < requests.length; at++) {
        const askedAt = performance.now();
        const depth = Math.min(await this.usePool(requests, at), requests.length - at);
        while (next < at + Math.max(1, depth)) ahead.push(handled(this.load(requests[next++]!)));
        const batch = await ahead.shift()!;
        this.measure(askedAt, deliveredAt);
        deliveredAt = performance.now();
        isDone = at === requests.length - 1;
        yield batch;
      }
    } finally {
      // the caller left early, or a batch failed
      if (!isDone) await this.close();
    }
  }

  /** Ends the worker threads; a later epoch starts new ones. */
  async close(): Promise<void> {
    const { pool } = this;
    this.pool = null;
    this.free.own.clear();
    this.free.shared.clear();
    await pool?.destroy();
  }

  /** @returns how many batches to have in progress. The first batch needs no thread: often it is the only one */
  private async usePool(requests: readonly BatchRequest[], at: number): Promise<number> {
    const threads = this.choice.workers;
    const { plan } = this.maker;
    if (this.pool && this.pool.threads !== threads) {
      void this.pool.finish();
      this.pool = null;
    }
    if (threads === 0 || !plan || !this.split.share || (at === 0 && !this.pool && requests.length === 1)) return 1;
    this.pool ??= startPool(threads, {
      split: this.split.share(this.maker.reading),
      options: plainOptions(this.options),
      plan,
    });
    const bytes = await this.maker.sizeOf(requests[at]!, requests[at]!.to - requests[at]!.from);
    return Math.max(2, Math.min(2 * threads, Math.floor(MAX_BYTES_AHEAD / Math.max(1, bytes))));
  }

  private measure(askedAt: number, deliveredAt: number | null): void {
    const [waitMs, workMs] = [performance.now() - askedAt, deliveredAt === null ? 0 : askedAt - deliveredAt];
    this.clock.add(waitMs, workMs);
    this.choice.observe(waitMs, workMs);
  }

  private async load(request: BatchRequest): Promise<Batch> {
    const rows = request.to - request.from;
    if (rows === 0) return withoutSamples(await this.load({ ...request, from: 0, to: 1 }));
    const bytes = await this.maker.sizeOf(request, rows);
    const { pool } = this;
    if (!pool) {
      const buffer = this.free.own.take(bytes);
      this.broken.add(await this.maker.make(request, buffer));
      return this.batchOver(buffer, rows, () => this.free.own.give(buffer));
    }
    const buffer = this.free.shared.take(bytes);
    this.broken.add(await pool.make({ request, buffer }));
    return this.batchOver(buffer, rows, () => this.free.shared.give(buffer));
  }

  private batchOver(buffer: ArrayBufferLike, rows: number, release: () => void): Batch {
    const { inputs, target, names } = this.maker.arrays(rows, buffer);
    const { shared } = this.maker;
    return {
      size: rows,
      inputs: new Map(
        inputs.map((array, i): [string, HostArray] => {
          const name = names[i]!;
          return [name, shared.has(name) ? { ...array, shape: [], data: array.data.slice(0, 1) } : array];
        }),
      ),
      target,
      release,
    };
  }
}

/** Memory of batches that were given back, by size. */
class FreeBuffers<T extends ArrayBufferLike> {
  private readonly bySize = new Map<number, T[]>();
  private readonly kind: new (
    bytes: number,
  ) => T;

  constructor(kind: new (bytes: number) => T) {
    this.kind = kind;
  }

  take(bytes: number): T {
    return this.bySize.get(bytes)?.pop() ?? new this.kind(bytes);
  }

  give(buffer: T): void {
    const known = this.bySize.get(buffer.byteLength);
    if (known) known.push(buffer);
    else this.bySize.set(buffer.byteLength, [buffer]);
  }

  clear(): void {
    this.bySize.clear();
  }
}

function chooseWorkers(split: Split, asked: StreamOptions['numWorkers'], cores: number): WorkerChoice {
  if (!split.share) return fixedChoice(0);
  if (asked === 'auto') return measuredChoice(cores);
  return fixedChoice(asked === 'cores' ? cores : asked);
}

/** What can be sent to a thread. */
function plainOptions({ seed, augment, classes, transform, inputs }: StreamOptions): MakerOptions {
  return { seed, augment, transform, inputs, ...(classes !== undefined && { classes }) };
}

/** A failure is met when the batch is asked for, not before. */
function handled(batch: Promise<Batch>): Promise<Batch> {
  batch.catch(() => undefined);
  return batch;
}

/** A batch of the same form without samples. Inputs that samples share (those without axes) stay. */
function withoutSamples({ inputs, target }: Batch): Batch {
  const empty = (array: HostArray): HostArray =>
    array.shape.length === 0 ? array : { ...array, shape: [0, ...array.shape.slice(1)], data: array.data.slice(0, 0) };
  return {
    size: 0,
    inputs: new Map([...inputs].map(([name, array]) => [name, empty(array)])),
    target: target && empty(target),
  };
}
