/**
 * Brightness, contrast, saturation and hue of images with values 0 to 255, by the formulas of torchvision's
 * `transforms.functional`, without rounding between them.
 */
import type { Pixels } from './pixels.ts';

const MAX = 255;
/** Luma of ITU-R BT.601, with torchvision's digits. */
const [RED, GREEN, BLUE] = [0.2989, 0.587, 0.114] as const;

const clamp = (value: number): number => Math.min(MAX, Math.max(0, value));

function greyAt({ data, channels }: Pixels, pixel: number): number {
  const at = pixel * channels;
  return channels < 3 ? data[at]! : RED * data[at]! + GREEN * data[at + 1]! + BLUE * data[at + 2]!;
}

/** @param towards what a value moves away from, or to, by pixel */
function blend(image: Pixels, factor: number, towards: (pixel: number) => number): Pixels {
  const { channels } = image;
  const data = new Float32Array(image.data.length);
  for (let pixel = 0; pixel * channels < data.length; pixel++) {
    const other = (1 - factor) * towards(pixel);
    for (let c = 0; c < channels; c++)
      data[pixel * channels + c] = clamp(factor * image.data[pixel * channels + c]! + other);
  }
  return { ...image, data };
}

export const changeBrightness = (image: Pixels, factor: number): Pixels => blend(image, factor, () => 0);

export function changeContrast(image: Pixels, factor: number): Pixels {
  const pixels = image.height * image.width;
  let sum = 0;
  for (let pixel = 0; pixel < pixels; pixel++) sum += greyAt(image, pixel);
  return blend(image, factor, () => sum / pixels);
}

/** Leaves images of one channel as they are. */
export function changeSaturation(image: Pixels, factor: number): Pixels {
  return image.channels < 3 ? image : blend(image, factor, (pixel) => greyAt(image, pixel));
}

/** Turns the colour circle by `turns` of it. Leaves images of one channel as they are. */
export function changeHue(image: Pixels, turns: number): Pixels {
  if (image.channels < 3) return image;
  const data = new Float32Array(image.data.length);
  for (let at = 0; at < data.length; at += 3)
    turnHue(image.data[at]!, image.data[at + 1]!, image.data[at + 2]!, turns, data, at);
  return { ...image, data };
}

/** RGB -> HSV, hue + turns, -> RGB (Smith 1978). */
function turnHue(r: number, g: number, b: number, turns: number, target: Float32Array, at: number): void {
  const max = Math.max(r, g, b);
  const range = max - Math.min(r, g, b);
  const sixth = range === 0 ? 0 : max === r ? (g - b) / range : max === g ? 2 + (b - r) / range : 4 + (r - g) / range;
  const hue = (((sixth / 6 + turns) % 1) + 1) % 1;
  for (let c = 0; c < 3; c++) {
    const k = (5 - 2 * c + hue * 6) % 6; // where the hue lies on the circle, seen from this channel
    target[at + c] = max - range * Math.max(0, Math.min(k, 4 - k, 1));
  }
}
