import { describe, expect, it } from 'vitest';
import { arrayFrom } from './array-store.ts';
import { arrayDataset } from './array-dataset.ts';
import { batchSource, type BatchOptions } from './batches.ts';
import type { Batch, BatchSource } from './dataset.ts';

/** Sample i has the features 2i and 2i + 1, and class i % 5. */
function source(samples: number, options: Partial<BatchOptions> = {}): BatchSource {
  const x = arrayFrom(
    'float32',
    [samples, 2],
    Float32Array.from({ length: samples * 2 }, (_, i) => i),
  );
  const y = arrayFrom(
    'int64',
    [samples],
    BigInt64Array.from({ length: samples }, (_, i) => BigInt(i % 5)),
  );
  const dataset = arrayDataset('npz', new Map([['train', { inputs: new Map([['x', x]]), target: y }]]), { name: 'y' });
  return batchSource(dataset.split('train'), {
    batchSize: 8,
    shuffle: true,
    seed: 3,
    transform: {},
    inputs: [{ name: 'x', dtype: 'float32', shape: [null, 2] }],
    ...options,
  });
}

async function batchesOf(from: BatchSource, epoch = 2): Promise<Batch[]> {
  const all: Batch[] = [];
  for await (const batch of from.epoch(epoch)) all.push(batch);
  return all;
}

const ranks = (of: number) => Array.from({ length: of }, (_, rank) => rank);
const featuresOf = ({ inputs }: Batch): number[] => [...(inputs.get('x')!.data as Float32Array)];
const classesOf = ({ target }: Batch): number[] => [...(target!.data as Int32Array)];

describe('shards of a batch source', () => {
  it.each([1, 2, 3, 5, 8, 11])('%i of them in order are the whole batches, the short last one too', async (of) => {
    for (const options of [{ numWorkers: 0 }, { numWorkers: 2 }, { shuffle: false }]) {
      const whole = source(23, options); // two batches of 8, one of 7
      const shards = ranks(of).map((rank) => whole.shard(rank, of));
      const shares = await Promise.all(shards.map((shard) => batchesOf(shard)));
      for (const [at, batch] of (await batchesOf(whole)).entries()) {
        const parts = shares.map((batches) => batches[at]!);
        expect(parts.flatMap(featuresOf)).toEqual(featuresOf(batch));
        expect(parts.flatMap(classesOf)).toEqual(classesOf(batch));
        const sizes = parts.map(({ size }) => size);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        for (const [rank, { inputs, target, size }] of parts.entries()) {
          expect(inputs.get('x')!.shape, `rank ${rank}`).toEqual([size, 2]);
          expect(target!.shape).toEqual([size]);
        }
      }
      for (const [rank, shard] of shards.entries()) {
        expect(shard.batchesPerEpoch).toBe(whole.batchesPerEpoch);
        expect(shares[rank]).toHaveLength(whole.batchesPerEpoch);
        expect(shares[rank]!.reduce((sum, { size }) => sum + size, 0)).toBe(shard.samples);
      }
    }
  });

  it('have their own order in every epoch, the same one for all', async () => {
    const shard = source(40).shard(1, 2);
    expect((await batchesOf(shard, 0)).flatMap(featuresOf)).not.toEqual(
      (await batchesOf(shard, 1)).flatMap(featuresOf),
    );
    expect((await batchesOf(shard, 1)).flatMap(featuresOf)).toEqual((await batchesOf(shard, 1)).flatMap(featuresOf));
  });

  it('may be sharded again', async () => {
    const whole = source(23);
    const quarters = ranks(4).map((rank) => whole.shard(Math.floor(rank / 2), 2).shard(rank % 2, 2));
    const parts = await Promise.all(quarters.map((quarter) => batchesOf(quarter)));
    for (const [at, batch] of (await batchesOf(whole)).entries())
      expect(parts.flatMap((batches) => featuresOf(batches[at]!))).toEqual(featuresOf(batch));
  });

  it('leave out a short batch where the whole source does', async () => {
    const whole = source(23, { fullBatchesOnly: true });
    expect([whole.samples, whole.batchesPerEpoch]).toEqual([16, 2]);
    const shards = ranks(3).map((rank) => whole.shard(rank, 3));
    expect(shards.map(({ samples }) => samples)).toEqual([4, 6, 6]);
    expect((await batchesOf(shards[0]!)).map(({ size }) => size)).toEqual([2, 2]);
  });

  it.each([
    [2, 2],
    [-1, 2],
    [0.5, 2],
    [0, 0],
  ])('there is no shard %d of %d', (rank, of) => {
    expect(() => source(8).shard(rank, of)).toThrow(`There is no shard ${rank} of ${of}`);
  });
});
