/** Against torchvision (test/generators/make-augmentation-cases.py), closed forms and the laws of distributions. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot } from '../../../../process/entry.ts';
import { seededNormal, seededRandom } from '../../random.ts';
import { changeBrightness, changeContrast, changeHue, changeSaturation } from './colour.ts';
import { completeAugmentations } from './defaults.ts';
import { changeImage } from './images.ts';
import { mixupPartners, mixupShare } from './mixup.ts';
import { cutOut, flipHorizontally, flipVertically, rotate, translate, type Pixels } from './pixels.ts';
import { changeValues } from './values.ts';

const { cases } = JSON.parse(readFileSync(join(projectRoot, 'test', 'data', 'augmentation-cases.json'), 'utf8')) as {
  cases: { change: keyof typeof CHANGES; by: number; expected: number[] }[];
};
const CHANGES = {
  brightness: changeBrightness,
  contrast: changeContrast,
  saturation: changeSaturation,
  hue: changeHue,
  rotate,
};
const image: Pixels = {
  height: 4,
  width: 5,
  channels: 3,
  data: Uint8Array.from({ length: 60 }, (_, at) => {
    const [y, x, c] = [Math.floor(at / 15), Math.floor(at / 3) % 5, at % 3];
    return (37 * y + 53 * x + 91 * c + 17 * x * y * c) % 256;
  }),
};

describe('augmentations of images', () => {
  it.each(cases)('change as in torchvision: $change by $by', ({ change, by, expected }) => {
    const { data } = CHANGES[change](image, by);
    // torchvision computes in float32 from 0 to 1, or places a grid in float32
    expected.forEach((value, i) => expect(Math.abs(value - data[i]!), `value ${i}`).toBeLessThan(0.02));
  });

  it('mirror, move and cut out as said', () => {
    const small: Pixels = { data: Uint8Array.of(1, 2, 3, 4, 5, 6), height: 2, width: 3, channels: 1 };
    expect([...flipHorizontally(small).data]).toEqual([3, 2, 1, 6, 5, 4]);
    expect([...flipVertically(small).data]).toEqual([4, 5, 6, 1, 2, 3]);
    expect([...translate(small, 1, 1).data]).toEqual([5, 6, 0, 0, 0, 0]);
    expect([...translate(small, -1, -2).data]).toEqual([0, 0, 0, 0, 0, 1]);
    expect([...translate(small, 0, 5).data]).toEqual([0, 0, 0, 0, 0, 0]);
    expect([...cutOut(small, [0, 1], 2, [0.5]).data]).toEqual([0.5, 0.5, 3, 4, 5, 6]);
    expect([...cutOut(small, [1, 1], 3, [9]).data]).toEqual([9, 9, 9, 9, 9, 9]);
    expect([...rotate(small, 180).data].map((value) => Math.round(value * 1e4) / 1e4)).toEqual([6, 5, 4, 3, 2, 1]);
  });

  it('draw what they were asked for: half of the flips, every place of a crop', () => {
    const { image: settings } = completeAugmentations([{ kind: 'flip' }, { kind: 'crop', padding: 1 }]);
    const dot: Pixels = {
      data: Uint8Array.from({ length: 25 }, (_, i) => Number(i === 13)),
      height: 5,
      width: 5,
      channels: 1,
    };
    const counts = new Map<number, number>();
    const trials = 4000;
    for (let sample = 0; sample < trials; sample++) {
      const { data } = changeImage(dot, settings, (stream) => seededRandom(7, 0, sample, stream), [0]);
      const at = data.indexOf(1);
      counts.set(at, (counts.get(at) ?? 0) + 1);
    }
    // the dot at (2, 3), or (2, 1) when mirrored, moves by up to one place in both directions
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    const column = (x: number) => [5, 10, 15].reduce((sum, row) => sum + (counts.get(row + x) ?? 0), 0) / trials;
    [1 / 6, 1 / 6, 1 / 3, 1 / 6, 1 / 6].forEach((share, x) => expect(Math.abs(column(x) - share)).toBeLessThan(0.03));
  });
});

describe('augmentations of series and tables', () => {
  it('add noise and scale channels by the deviation asked for', () => {
    const settings = completeAugmentations([{ kind: 'noise', sigma: 0.5 }]).values;
    const noisy = new Float32Array(20_000).fill(3);
    changeValues(noisy, 2, settings, (stream) => seededNormal(1, 0, 0, stream, 1));
    const mean = noisy.reduce((sum, value) => sum + value, 0) / noisy.length;
    const deviation = Math.sqrt(noisy.reduce((sum, value) => sum + (value - mean) ** 2, 0) / noisy.length);
    expect(Math.abs(mean - 3)).toBeLessThan(0.02); // 5 standard errors
    expect(Math.abs(deviation - 0.5)).toBeLessThan(0.02);
    const scaled = Float32Array.of(1, 10, 2, 20, 3, 30);
    changeValues(scaled, 2, completeAugmentations([{ kind: 'scale' }]).values, () => () => 0.5);
    expect([...scaled].map((value) => Math.round(value * 1e4) / 1e4)).toEqual([1.05, 10.5, 2.1, 21, 3.15, 31.5]);
  });
});

describe('mixup', () => {
  it.each([0.2, 1, 3])('draws shares from Beta(%d, same)', (alpha) => {
    const shares = Array.from({ length: 20_000 }, (_, sample) => mixupShare(5, 0, sample, alpha));
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    const variance = shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / shares.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.02);
    expect(Math.abs(variance - 1 / (4 * (2 * alpha + 1)))).toBeLessThan(0.005); // of Beta(a, a)
    expect(shares.every((share) => share >= 0 && share <= 1)).toBe(true);
  });
  it('gives every sample one partner', () => {
    const partners = mixupPartners(5, 1, 2, 64);
    expect([...partners].sort((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, i) => i));
    expect(mixupPartners(5, 1, 2, 64)).toEqual(partners);
    expect(mixupPartners(5, 1, 3, 64)).not.toEqual(partners);
  });
});
