/** Where RoiAlign samples: the four pixels round each sampling point of each bin, with their bilinear weights. */

export interface Regions {
  /** [r, 4]: x1, y1, x2, y2. */
  readonly regions: readonly number[];
  /** Image of each region. */
  readonly images: readonly number[];
  readonly scale: number;
  /** Sampling points of a bin along each axis; 0: as many as pixels. */
  readonly ratio: number;
  /** Pixels' centres lie at half-integers. */
  readonly half: boolean;
}

export interface RegionSizes {
  readonly h: number;
  readonly w: number;
  readonly height: number;
  readonly width: number;
}

/** One pixel per bin, all bins [r * height * width]. */
export interface BinPixels {
  readonly rows: Int32Array;
  readonly weights: Float32Array;
}

interface Pixel {
  readonly row: number;
  readonly weight: number;
}

/**
 * As many entries as the most sampled bin has pixels; the others get pixels that change nothing. Weights of a mean are
 * divided by its count.
 */
export function binsOf(given: Regions, sizes: RegionSizes, max: boolean): BinPixels[] {
  const bins = given.images.flatMap((image, region) => binsOfRegion(given, { region, imageIndex: image, sizes, max }));
  const maxPixels = Math.max(1, ...bins.map((pixels) => pixels.length));
  return Array.from({ length: maxPixels }, (_, i) => {
    const chosen = bins.map((pixels) => pixels[i] ?? (max ? nth(pixels, 0) : { row: 0, weight: 0 }));
    return {
      rows: Int32Array.from(chosen, ({ row }) => row),
      weights: Float32Array.from(chosen, ({ weight }) => weight),
    };
  });
}

interface RegionBins {
  readonly region: number;
  readonly imageIndex: number;
  readonly sizes: RegionSizes;
  readonly max: boolean;
}

function binsOfRegion(
  { regions, scale, ratio, half }: Regions,
  { region, imageIndex, sizes: { h, w, height, width }, max }: RegionBins,
): Pixel[][] {
  const [x1, y1, x2, y2] = regions
    .slice(4 * region, 4 * region + 4)
    .map((value) => value * scale - (half ? 0.5 : 0)) as [number, number, number, number];
  const extent = (from: number, to: number): number => (half ? to - from : Math.max(to - from, 1));
  const [binHeight, binWidth] = [extent(y1, y2) / height, extent(x1, x2) / width];
  const counts = [ratio > 0 ? ratio : Math.ceil(binHeight), ratio > 0 ? ratio : Math.ceil(binWidth)] as const;
  const share = max ? 1 : 1 / Math.max(1, counts[0] * counts[1]);
  const points = (start: number, size: number, bin: number, count: number): number[] =>
    Array.from({ length: Math.max(0, count) }, (_, i) => start + bin * size + ((i + 0.5) * size) / count);
  return Array.from({ length: height * width }, (_, bin) => {
    const ys = points(y1, binHeight, Math.floor(bin / width), counts[0]);
    const xs = points(x1, binWidth, bin % width, counts[1]);
    const pixels = ys
      .flatMap((y) => xs.flatMap((x) => corners(y, x, h, w)))
      .map(({ row, weight }) => ({ row: imageIndex * h * w + row, weight: weight * share }));
    return pixels.length > 0 ? pixels : [{ row: 0, weight: 0 }];
  });
}

/** More than one pixel outside counts as zero; nearer, as the border. */
function corners(y: number, x: number, h: number, w: number): Pixel[] {
  if (y < -1 || y > h || x < -1 || x > w) return new Array<Pixel>(4).fill({ row: 0, weight: 0 });
  const [top, bottom, dy] = neighbours(y, h);
  const [left, right, dx] = neighbours(x, w);
  return [
    { row: top * w + left, weight: (1 - dy) * (1 - dx) },
    { row: top * w + right, weight: (1 - dy) * dx },
    { row: bottom * w + left, weight: dy * (1 - dx) },
    { row: bottom * w + right, weight: dy * dx },
  ];
}

function neighbours(place: number, size: number): [number, number, number] {
  const inside = Math.max(place, 0);
  const low = Math.floor(inside);
  return low >= size - 1 ? [size - 1, size - 1, 0] : [low, low + 1, inside - low];
}
import { nth } from '../../ir/checked-access.ts';
