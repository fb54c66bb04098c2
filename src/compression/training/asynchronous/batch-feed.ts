/** Batches by their number in the training, read in order; one that was read is kept until it is done. */
import type { Batch, BatchSource, HostArray } from '../../data/dataset.ts';

export class BatchFeed {
  readonly #held = new Map<number, Batch>();
  readonly #batches: AsyncGenerator<Batch>;
  #next: number;

  /** @param first number of the first batch that will be asked for */
  constructor(source: BatchSource, first: number, epochs: number) {
    this.#next = first;
    this.#batches = batchesFrom(source, first, epochs);
  }

  async get(number: number): Promise<Batch> {
    while (this.#next <= number) {
      const next = await this.#batches.next();
      if (next.done === true) throw new RangeError(`There is no batch ${number}`);
      this.#held.set(this.#next++, ownCopy(next.value));
      next.value.release?.();
    }
    const batch = this.#held.get(number);
    if (!batch) throw new RangeError(`Batch ${number} is done`);
    return batch;
  }

  /** It will not be asked for again. */
  done(number: number): void {
    this.#held.delete(number);
  }

  async close(): Promise<void> {
    await this.#batches.return(undefined);
  }
}

/** What can be sent and kept: the loader's arrays lie in memory that its threads share and use again. */
function ownCopy({ size, inputs, target }: Batch): Batch {
  const copied = (array: HostArray): HostArray => ({ ...array, data: array.data.slice() });
  return {
    size,
    inputs: new Map([...inputs].map(([name, array]) => [name, copied(array)])),
    target: target && copied(target),
  };
}

async function* batchesFrom(source: BatchSource, first: number, epochs: number): AsyncGenerator<Batch> {
  for (let epoch = Math.floor(first / source.batchesPerEpoch); epoch < epochs; epoch++) {
    let number = epoch * source.batchesPerEpoch;
    for await (const batch of source.epoch(epoch)) if (number++ >= first) yield batch;
  }
}
