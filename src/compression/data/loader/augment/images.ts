/** Random changes of one image. */
import type { ImageAugmentation, ImageKind } from './defaults.ts';
import { changeBrightness, changeContrast, changeHue, changeSaturation } from './colour.ts';
import { cutOut, flipHorizontally, flipVertically, rotate, translate, type Pixels } from './pixels.ts';

/** Uniform numbers in [0, 1), of an augmentation's own stream. */
export type Draw = () => number;

type Change<K extends ImageKind> = (
  image: Pixels,
  settings: Extract<ImageAugmentation, { kind: K }>,
  draw: Draw,
  /** By channel: the value that becomes 0 in the model's input. */
  zero: readonly number[],
) => Pixels;

const CHANGES: { readonly [K in ImageKind]: Change<K> } = {
  flip: (image, { direction, probability }, draw) => {
    if (draw() >= probability) return image;
    return direction === 'vertical' ? flipVertically(image) : flipHorizontally(image);
  },
  // cutting the old size out of the padded image moves it by up to the padding
  crop: (image, { padding }, draw) => translate(image, whole(draw, padding), whole(draw, padding)),
  shift: (image, { x, y }, draw) =>
    translate(image, whole(draw, Math.round(y * image.height)), whole(draw, Math.round(x * image.width))),
  rotate: (image, { degrees }, draw) => rotate(image, between(draw, -degrees, degrees)),
  colour: (image, { brightness, contrast, saturation, hue }, draw) => {
    const [b, c, s] = [brightness, contrast, saturation].map((strength) => between(draw, 1 - strength, 1 + strength));
    const turns = between(draw, -hue, hue);
    let changed = image;
    if (brightness > 0) changed = changeBrightness(changed, b!);
    if (contrast > 0) changed = changeContrast(changed, c!);
    if (saturation > 0) changed = changeSaturation(changed, s!);
    return hue > 0 ? changeHue(changed, turns) : changed;
  },
  cutout: (image, { size }, draw, zero) =>
    cutOut(image, [Math.floor(draw() * image.height), Math.floor(draw() * image.width)], size, zero),
};

/** @param drawOf the stream of random numbers of an augmentation */
export function changeImage(
  image: Pixels,
  augmentations: readonly ImageAugmentation[],
  drawOf: (stream: number) => Draw,
  zero: readonly number[],
): Pixels {
  return augmentations.reduce((changed, settings) => {
    const change = CHANGES[settings.kind] as Change<ImageKind>;
    return change(changed, settings, drawOf(settings.stream), zero);
  }, image);
}

const between = (draw: Draw, low: number, high: number): number => low + draw() * (high - low);

/** A whole number from -most to most. */
const whole = (draw: Draw, most: number): number => Math.floor(draw() * (2 * most + 1)) - most;
