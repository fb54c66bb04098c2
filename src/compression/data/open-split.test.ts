/** What another thread opens reads the same samples. */
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import yazl from 'yazl';
import { afterAll, describe, expect, it } from 'vitest';
import { arrayDataset } from './array-dataset.ts';
import { arrayFrom, createArray, repeatedScalar } from './array-store.ts';
import type { Split } from './dataset.ts';
import { openDataset } from './open.ts';
import { openSplit } from './open-split.ts';
import { createCache, openCache } from './sample-cache.ts';
import { subset } from './splits.ts';

const folder = mkdtempSync(join(tmpdir(), 'lathe-open-split-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** As `postMessage` would send it. */
const shared = (split: Split) => openSplit(structuredClone(split.share!({ imageSize: [4, 5] })));

describe('a split opened from its handle', () => {
  it('reads arrays in memory, in a file, and repeated numbers', async () => {
    const values = Float32Array.from({ length: 12 }, (_, i) => i / 7);
    const filed = createArray('filed', 'float32', [6, 2], 0);
    filed.write(values);
    const inputs = new Map([
      ['memory', arrayFrom('float32', [6, 2], values)],
      ['file', filed.finish()],
      ['rate', repeatedScalar(arrayFrom('int64', [], BigInt64Array.of(16000n)), 6)],
    ]);
    const y = arrayFrom('int64', [6], BigInt64Array.of(0n, 1n, 2n, 0n, 1n, 2n));
    const dataset = arrayDataset('npz', new Map([['train', { inputs, target: y }]]), { name: 'y' });
    const part = subset(dataset.split('train'), Int32Array.of(4, 0, 2));
    expect(await shared(part).read([2, 0, 1])).toEqual(await part.read([2, 0, 1]));
    await dataset.close();
  });

  it.each([true, false])('reads images of an archive, compressed: %s', async (compress) => {
    const zip = new yazl.ZipFile();
    for (let i = 0; i < 7; i++) {
      const pixels = Buffer.from(Array.from({ length: 6 * 6 * 3 }, (_, at) => (at * (i + 3)) % 256));
      const png = await sharp(pixels, { raw: { width: 6, height: 6, channels: 3 } })
        .png()
        .toBuffer();
      zip.addBuffer(png, `${i % 2 ? 'odd' : 'even'}/${i}.png`, { compress });
    }
    zip.end();
    const path = join(folder, `images-${compress}.zip`);
    const chunks: Buffer[] = [];
    for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer);
    writeFileSync(path, Buffer.concat(chunks));
    const dataset = await openDataset(path, {});
    const split = dataset.split('train');
    const options = { imageSize: [4, 5] as const };
    const opened = shared(split);
    expect([opened.length, opened.isDecoded]).toEqual([split.length, true]);
    const first = await opened.read([3, 1, 0], options);
    expect(first).toEqual(await split.read([3, 1, 0], options)); // the second one comes from the cache
    expect(first.inputs.get('x')!.shape).toEqual([3, 4, 5, 3]);
    await dataset.close();
  });
});

describe('the cache of decoded samples', () => {
  it('gives back what was put in, for as many samples as fit', () => {
    const handle = createCache(10, 4, 3 * 4 + 1)!;
    const [a, b] = [openCache(handle), openCache(handle)];
    const into = new Uint8Array(4);
    expect(a.get(2, into)).toBe(false);
    a.put(2, Uint8Array.of(1, 2, 3, 4));
    a.put(3, Uint8Array.of(5, 6, 7, 8));
    expect([b.get(2, into), [...into]]).toEqual([true, [1, 2, 3, 4]]);
    expect(b.get(3, into)).toBe(false);
    expect(createCache(10, 4, 3)).toBeNull();
  });
});
