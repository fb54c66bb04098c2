/** An image file's bytes -> pixels. */
import type { Sharp } from 'sharp';
import { resizeImages } from './resize.ts';

const MAX_PIXELS = 100_000_000;

/** Loaded with the first image: threads that load arrays start without it. */
export async function imageDecoder(bytes: Buffer): Promise<Sharp> {
  const { default: sharp } = await import('sharp');
  return sharp(bytes, { failOn: 'error', limitInputPixels: MAX_PIXELS, animated: false });
}

/**
 * Pixels [h, w, c] in `size`: alpha dropped, greys spread to three channels where the set has colour. Resized here and
 * not by libvips, whose enlarging differs from what the training libraries do: this is Pillow's BILINEAR to within one
 * level.
 */
export async function decodeImage(
  bytes: Buffer,
  size: readonly [number, number],
  channels: 1 | 3,
): Promise<Uint8Array> {
  const { data, info } = await (await imageDecoder(bytes))
    .removeAlpha()
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return resizeImages({ dtype: 'uint8', shape: [1, info.height, info.width, channels], data }, channels, size)
    .data as Uint8Array;
}
