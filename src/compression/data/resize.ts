/** Images to another size by a triangle filter (bilinear, widened when shrinking so that nothing is skipped), as Pillow's BILINEAR does. */
import { allocate } from './array-store.ts';
import type { HostArray } from './dataset.ts';

interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

/** Which source places make each target place, along one axis. Weights sum to 1. */
function tapsOf(from: number, to: number): Taps[] {
  const step = from / to;
  const radius = Math.max(1, step);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * step;
    const first = Math.max(0, Math.floor(centre - radius + 0.5));
    const end = Math.min(from, Math.floor(centre + radius + 0.5));
    const raw = Array.from({ length: end - first }, (_, k) => Math.max(0, 1 - Math.abs(first + k + 0.5 - centre) / radius));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return { first, weights: raw.map((weight) => weight / sum) };
  });
}

/** `images`: [n, h, w] or [n, h, w, c]; result [n, height, width, c] of the same type (integers rounded). `size` null: kept. */
export function resizeImages(images: HostArray, channels: number, size: readonly [number | null, number | null]): HostArray {
  const [n, height, width] = images.shape as [number, number, number];
  const [toHeight, toWidth] = [size[0] ?? height, size[1] ?? width];
  if (toHeight === height && toWidth === width) return { ...images, shape: [n, height, width, channels] };
  const data = allocate(images.dtype, n * toHeight * toWidth * channels);
  const [rows, columns] = [tapsOf(height, toHeight), tapsOf(width, toWidth)];
  const store = images.dtype === 'float32' ? (value: number) => value : images.dtype === 'int64' ? (value: number) => BigInt(Math.round(value)) : Math.round;
  const wide = new Float64Array(height * toWidth * channels); // one image, resized along its rows
  for (let image = 0; image < n; image++) {
    const from = image * height * width * channels;
    for (let y = 0; y < height; y++) for (let x = 0; x < toWidth; x++) for (let c = 0; c < channels; c++) {
      const { first, weights } = columns[x]!;
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * Number(images.data[from + (y * width + first + k) * channels + c]);
      wide[(y * toWidth + x) * channels + c] = sum;
    }
    const to = image * toHeight * toWidth * channels;
    for (let y = 0; y < toHeight; y++) for (let i = 0; i < toWidth * channels; i++) {
      const { first, weights } = rows[y]!;
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * wide[(first + k) * toWidth * channels + i]!;
      data[to + y * toWidth * channels + i] = store(sum);
    }
  }
  return { dtype: images.dtype, shape: [n, toHeight, toWidth, channels], data };
}
