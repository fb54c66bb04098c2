/** Batches are the same whatever makes them; threads come and go as they should; broken files are replaced. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import yazl from 'yazl';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Augmentation } from '../../../contracts/augmentation.ts';
import { seededRandom } from '../random.ts';
import { batchSource, type BatchOptions } from '../batches.ts';
import type { Batch, BatchSource, Dataset } from '../dataset.ts';
import { openDataset } from '../open.ts';
import { subset } from '../splits.ts';

const folder = mkdtempSync(join(tmpdir(), 'lathe-loader-'));
const BROKEN = new Set([5, 17]);
let images: Dataset;
let damaged: Dataset;

/** 40 JPEGs of 20 x 24 pixels in 4 classes; those in `broken` end after their header. */
async function archive(name: string, broken: ReadonlySet<number>): Promise<string> {
  const zip = new yazl.ZipFile();
  for (let i = 0; i < 40; i++) {
    const random = seededRandom(i);
    const pixels = Buffer.from(Array.from({ length: 20 * 24 * 3 }, () => Math.floor(random() * 256)));
    const jpeg = await sharp(pixels, { raw: { width: 24, height: 20, channels: 3 } })
      .jpeg()
      .toBuffer();
    zip.addBuffer(broken.has(i) ? jpeg.subarray(0, jpeg.length / 2) : jpeg, `train/${i % 4}/${10 + i}.jpg`);
  }
  zip.end();
  const chunks: Buffer[] = [];
  for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer);
  const path = join(folder, `${name}.zip`);
  writeFileSync(path, Buffer.concat(chunks));
  return path;
}

beforeAll(async () => {
  images = await openDataset(await archive('whole', new Set()), {});
  damaged = await openDataset(await archive('damaged', BROKEN), {});
});
afterAll(async () => {
  await images.close();
  await damaged.close();
  rmSync(folder, { recursive: true });
});

const ALL: readonly Augmentation[] = [
  { kind: 'flip' },
  { kind: 'crop', padding: 2 },
  { kind: 'shift' },
  { kind: 'rotate' },
  { kind: 'colour', hue: 0.1 },
  { kind: 'cutout', size: 4 },
  { kind: 'mixup' },
];

function source(dataset: Dataset, more: Partial<BatchOptions> = {}): BatchSource {
  const all = subset(
    dataset.split('train'),
    Int32Array.from({ length: dataset.split('train').length }, (_, i) => i),
  );
  return batchSource(all, {
    batchSize: 8,
    shuffle: true,
    seed: 11,
    transform: { scale: 1 / 255, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] },
    inputs: [{ name: 'x', dtype: 'float32', shape: [null, 3, 16, 16] }],
    classes: 4,
    ...more,
  });
}

const copied = ({ size, inputs, target }: Batch) => ({
  size,
  x: [...(inputs.get('x')!.data as Float32Array)],
  y: [...(target!.data as Float32Array)],
});

async function batchesOf(from: BatchSource, epochs = [0, 1]): Promise<ReturnType<typeof copied>[]> {
  const all = [];
  for (const epoch of epochs)
    for await (const batch of from.epoch(epoch)) {
      all.push(copied(batch));
      batch.release?.(); // its memory holds a later batch
    }
  await from.close();
  return all;
}

/** Worker threads of this process, as its diagnostic report lists them. */
const threadCount = (): number => (process.report.getReport() as { workers: unknown[] }).workers.length;

describe('the loader', () => {
  it.each([
    ['images as they are', []],
    ['every augmentation', ALL],
  ] as const)('gives the same batches whatever the number of workers: %s', async (_name, augment) => {
    const expected = await batchesOf(source(images, { augment, numWorkers: 0 }));
    expect(expected.map(({ size }) => size)).toEqual([8, 8, 8, 8, 4, 8, 8, 8, 8, 4]);
    for (const numWorkers of [1, 3, 'cores', 'auto'] as const)
      expect(await batchesOf(source(images, { augment, numWorkers })), String(numWorkers)).toEqual(expected);
  });

  it('changes samples in another way in every epoch, and with every seed', async () => {
    const at = async (seed: number, epoch: number) =>
      (await batchesOf(source(images, { augment: ALL, seed, shuffle: false, numWorkers: 0 }), [epoch]))[0]!.x;
    const first = await at(1, 0);
    expect(await at(1, 0)).toEqual(first);
    expect(await at(1, 1)).not.toEqual(first);
    expect(await at(2, 0)).not.toEqual(first);
  });

  it.each([0, 2])(
    'gives shards that in order are the whole batch, mixed samples too: %i workers',
    async (numWorkers) => {
      const options = { augment: ALL, numWorkers };
      const whole = await batchesOf(source(images, options), [3]);
      const shards = await Promise.all([0, 1, 2].map((rank) => batchesOf(source(images, options).shard(rank, 3), [3])));
      for (const [at, { x, y }] of whole.entries()) {
        expect(shards.flatMap((shard) => shard[at]!.x)).toEqual(x);
        expect(shards.flatMap((shard) => shard[at]!.y)).toEqual(y);
      }
    },
  );

  it('ends its threads when it is closed, and when an epoch is left early', async () => {
    const before = threadCount();
    const left = source(images, { numWorkers: 2 });
    let seen = 0;
    for await (const _batch of left.epoch(0)) if (++seen === 3) break;
    expect([seen, threadCount()]).toEqual([3, before]);
    const closed = source(images, { numWorkers: 2 });
    for await (const batch of closed.epoch(0)) expect(batch.size).toBeGreaterThan(0);
    expect(threadCount()).toBeGreaterThan(before);
    await closed.close();
    expect(threadCount()).toBe(before);
    expect(closed.figures()).toMatchObject({ numWorkers: 2, broken: null });
    expect(closed.figures().waitShare).toBeGreaterThan(0);
  });

  it('makes a bounded number of batches ahead', async () => {
    let read = 0;
    const split = images.split('train');
    const counting = { ...split, read: (...given: Parameters<typeof split.read>) => (read++, split.read(...given)) };
    const { share: _, ...local } = counting;
    const options = {
      batchSize: 4,
      shuffle: false,
      seed: 0,
      transform: {},
      inputs: [{ name: 'x', dtype: 'float32', shape: [null, 20, 24, 3] }],
    };
    const epoch = batchSource(local, { ...options, numWorkers: 3 })
      .epoch(0)
      [Symbol.asyncIterator]();
    await epoch.next();
    expect(read).toBe(4 + 1); // one sample more to learn its form
    await epoch.return!(undefined);
  });
});

describe('broken samples', () => {
  it('are replaced alike by every number of workers, and told by their paths', async () => {
    const options = { maxBrokenShare: 0.1, shuffle: false };
    const one = source(damaged, { ...options, numWorkers: 0 });
    const expected = await batchesOf(one, [0]);
    expect(await batchesOf(source(damaged, { ...options, numWorkers: 2 }), [0])).toEqual(expected);
    const { broken } = one.figures();
    expect(broken).toMatch(/^2 of 36 samples cannot be read: "train\/\d\/\d\d.jpg" \(cannot be decoded: /);
    const rows = expected.flatMap(({ x, size }) =>
      Array.from({ length: size }, (_, i) => x.slice(i * 768, (i + 1) * 768)),
    );
    expect(rows).toHaveLength(36);
    expect(new Set(rows.map((row) => row.join())).size).toBeLessThanOrEqual(35); // samples stand in for the broken ones
  });

  it.each([0, 2])('fail the epoch where they are too many: %i workers', async (numWorkers) => {
    const from = source(damaged, { numWorkers });
    await expect(batchesOf(from, [0])).rejects.toMatchObject({
      code: 'malformed-dataset',
      message: expect.stringMatching(/more than 1 % of the samples \(loader\.maxBrokenShare\)/) as unknown,
    });
    await from.close();
  });
});
