/**
 * Images to another size by a triangle filter (bilinear, widened when shrinking so that nothing is skipped), as
 * Pillow's BILINEAR does.
 */
import { allocate } from './array-store.ts';
import type { HostArray } from './dataset.ts';

/**
 * Which source places make each target place along one axis, and how much: `weights[i * width + k]` goes with `first[i]
 * + k`.
 */
interface Taps {
  readonly first: Int32Array;
  readonly width: number;
  readonly weights: Float64Array;
}

function tapsOf(from: number, to: number): Taps {
  const step = from / to;
  const radius = Math.max(1, step);
  const width = Math.min(from, Math.ceil(2 * radius) + 1);
  const first = new Int32Array(to);
  const weights = new Float64Array(to * width);
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * step;
    first[i] = Math.min(Math.max(0, Math.floor(centre - radius + 0.5)), from - width);
    let sum = 0;
    for (let k = 0; k < width; k++)
      sum += weights[i * width + k] = Math.max(0, 1 - Math.abs(first[i]! + k + 0.5 - centre) / radius);
    for (let k = 0; k < width; k++) weights[i * width + k]! /= sum;
  }
  return { first, width, weights };
}

/**
 * `images`: [n, h, w] or [n, h, w, c]; result [n, height, width, c] of the same type (integers rounded). `size` null:
 * kept.
 */
export function resizeImages(
  images: HostArray,
  channels: number,
  size: readonly [number | null, number | null],
): HostArray {
  const [n, height, width] = images.shape as [number, number, number];
  const [toHeight, toWidth] = [size[0] ?? height, size[1] ?? width];
  if (toHeight === height && toWidth === width) return { ...images, shape: [n, height, width, channels] };
  const data = allocate(images.dtype, n * toHeight * toWidth * channels);
  const [rows, columns] = [tapsOf(height, toHeight), tapsOf(width, toWidth)];
  const source = images.data instanceof BigInt64Array ? Float64Array.from(images.data, Number) : images.data;
  const wide = new Float64Array(height * toWidth * channels); // one image, resized along its rows
  for (let image = 0; image < n; image++) {
    wide.fill(0);
    resample({
      source,
      sourceAt: image * height * width * channels,
      target: wide,
      targetAt: 0,
      along: { lines: height, from: width, to: toWidth, step: channels },
      taps: columns,
    });
    const resized = new Float64Array(toHeight * toWidth * channels);
    resample({
      source: wide,
      sourceAt: 0,
      target: resized,
      targetAt: 0,
      along: { lines: 1, from: height, to: toHeight, step: toWidth * channels },
      taps: rows,
    });
    store(resized, data, image * resized.length);
  }
  return { dtype: images.dtype, shape: [n, toHeight, toWidth, channels], data };
}

interface Resampling {
  readonly source: ArrayLike<number>;
  readonly sourceAt: number;
  readonly target: Float64Array;
  readonly targetAt: number;
  readonly along: { lines: number; from: number; to: number; step: number };
  readonly taps: Taps;
}

/** Resamples `lines` rows of `from` places, each a run of `step` numbers, to `to` places. */
function resample({ source, sourceAt, target, targetAt, along: { lines, from, to, step }, taps }: Resampling): void {
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < to; i++) {
      const start = sourceAt + (line * from + taps.first[i]!) * step;
      const end = targetAt + (line * to + i) * step;
      for (let k = 0; k < taps.width; k++) {
        const weight = taps.weights[i * taps.width + k]!;
        if (weight === 0) continue;
        for (let c = 0; c < step; c++) target[end + c]! += weight * source[start + k * step + c]!;
      }
    }
  }
}

function store(values: Float64Array, target: HostArray['data'], at: number): void {
  if (target instanceof BigInt64Array)
    for (let i = 0; i < values.length; i++) target[at + i] = BigInt(Math.round(values[i]!));
  else if (target instanceof Float32Array) target.set(values, at);
  else for (let i = 0; i < values.length; i++) target[at + i] = Math.round(values[i]!);
}
