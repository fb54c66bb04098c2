/** Images between two augmentations, and their geometric changes. */

/** [height, width, channels], row by row. */
export interface Pixels {
  readonly data: Uint8Array | Float32Array;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

const emptyLike = ({ data }: Pixels): Uint8Array | Float32Array =>
  data instanceof Uint8Array ? new Uint8Array(data.length) : new Float32Array(data.length);

export function flipHorizontally(image: Pixels): Pixels {
  const { height, width, channels } = image;
  const data = emptyLike(image);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++)
        data[(y * width + x) * channels + c] = image.data[(y * width + width - 1 - x) * channels + c]!;
  return { ...image, data };
}

export function flipVertically(image: Pixels): Pixels {
  const { height } = image;
  const row = image.width * image.channels;
  const data = emptyLike(image);
  for (let y = 0; y < height; y++) data.set(image.data.subarray((height - 1 - y) * row, (height - y) * row), y * row);
  return { ...image, data };
}

/** The pixel at (y, x) becomes that at (y + down, x + right); 0 where there is none. */
export function translate(image: Pixels, down: number, right: number): Pixels {
  const { height, width, channels } = image;
  const data = emptyLike(image);
  const [first, end] = [Math.max(0, -right), Math.min(width, width - right)];
  for (let y = Math.max(0, -down); y < Math.min(height, height - down) && first < end; y++) {
    const from = ((y + down) * width + first + right) * channels;
    data.set(image.data.subarray(from, from + (end - first) * channels), (y * width + first) * channels);
  }
  return { ...image, data };
}

/**
 * Turns anticlockwise about the centre. Each pixel is interpolated between the four about the place that it comes from;
 * those outside of the image are 0.
 */
export function rotate(image: Pixels, degrees: number): Pixels {
  const { height, width, channels } = image;
  const data = new Float32Array(image.data.length);
  const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
  const [cy, cx] = [(height - 1) / 2, (width - 1) / 2];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const fromX = cos * (x - cx) - sin * (y - cy) + cx;
      const fromY = sin * (x - cx) + cos * (y - cy) + cy;
      interpolate(image, fromY, fromX, data, (y * width + x) * channels);
    }
  return { data, height, width, channels };
}

function interpolate(image: Pixels, y: number, x: number, target: Float32Array, at: number): void {
  const { data, height, width, channels } = image;
  const [top, left] = [Math.floor(y), Math.floor(x)];
  for (let dy = 0; dy < 2; dy++)
    for (let dx = 0; dx < 2; dx++) {
      const [row, column] = [top + dy, left + dx];
      if (row < 0 || row >= height || column < 0 || column >= width) continue;
      const weight = (dy ? y - top : 1 - (y - top)) * (dx ? x - left : 1 - (x - left));
      const from = (row * width + column) * channels;
      for (let c = 0; c < channels; c++) target[at + c]! += weight * data[from + c]!;
    }
}

/** The square of side `size` about (y, x), as far as it lies within the image, gets the value `fill` of each channel. */
export function cutOut(
  image: Pixels,
  [y, x]: readonly [number, number],
  size: number,
  fill: readonly number[],
): Pixels {
  const { height, width, channels } = image;
  const data = Float32Array.from(image.data);
  const [top, left] = [y - Math.floor(size / 2), x - Math.floor(size / 2)];
  for (let row = Math.max(0, top); row < Math.min(height, top + size); row++)
    for (let column = Math.max(0, left); column < Math.min(width, left + size); column++)
      for (let c = 0; c < channels; c++) data[(row * width + column) * channels + c] = fill[fill.length === 1 ? 0 : c]!;
  return { data, height, width, channels };
}
