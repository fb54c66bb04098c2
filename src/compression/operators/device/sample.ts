/** Reading images between their pixels: nearest, linear or cubic, differentiable by the image and by the place. */
import { nth } from '../../ir/checked-access.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';
import { withoutTape } from '../../tensor/without-tape.ts';
import { sizeOf, stridesOf } from '../shapes.ts';
import { takeRows } from './rows.ts';

export type Interpolation = 'nearest' | 'linear' | 'cubic';
/** What lies outside: zeros, the pixel at the border, or the image mirrored at `low` and `high` of the axis. */
export type Outside = 'zeros' | 'border' | 'reflection';

export interface Sampling {
  readonly interpolation: Interpolation;
  readonly outside: Outside;
  /** Mirrors lie on the outermost pixels' centres rather than on their outer edges. */
  readonly alignCorners: boolean;
}

/** One pixel that a place reads along an axis: its index, and its weight (null: 1). */
interface Tap {
  readonly index: TfTensor;
  readonly weight: TfTensor | null;
}

/** Keys' constant (1981), as PyTorch and ONNX have it. */
const CUBIC = -0.75;

/**
 * image [n, ...spatial, c] at places [n, p] in pixels along each spatial axis -> [n, p, c].
 */
export function sample(image: TfTensor, places: readonly TfTensor[], sampling: Sampling): TfTensor {
  const [n, ...rest] = image.shape as [number, ...number[]];
  const [spatial, c] = [rest.slice(0, -1), nth(rest, -1)];
  const points = nth(nth(places, 0).shape, 1);
  const rows = tf.reshape(image, [n * sizeOf(spatial), c]);
  const taps = places.map((place, axis) => tapsOf(place, nth(spatial, axis), sampling));
  const strides = stridesOf(spatial);
  const start = tf.reshape(tf.range(0, n, 1, 'int32'), [n, 1]);
  const parts = combinations(taps).map((chosen) => {
    const offsets = withoutTape(() =>
      chosen.reduce<TfTensor>(
        (sum, { index }, axis) => tf.add(sum, tf.mul(tf.cast(index, 'int32'), tf.scalar(nth(strides, axis), 'int32'))),
        tf.mul(start, tf.scalar(sizeOf(spatial), 'int32')),
      ),
    );
    const taken = tf.reshape(takeRows(rows, tf.reshape(offsets, [n * points])), [n, points, c]);
    const weights = chosen.flatMap(({ weight }) => (weight ? [weight] : []));
    return weights.length === 0
      ? taken
      : tf.mul(
          taken,
          tf.expandDims(
            weights.reduce((a, b) => tf.mul(a, b)),
            2,
          ),
        );
  });
  return parts.reduce((a, b) => tf.add(a, b));
}

function combinations(taps: readonly (readonly Tap[])[]): Tap[][] {
  return taps.reduce<Tap[][]>((chosen, axis) => chosen.flatMap((before) => axis.map((tap) => [...before, tap])), [[]]);
}

/** The pixels that the places [n, p] read along an axis of this size. */
function tapsOf(place: TfTensor, size: number, sampling: Sampling): Tap[] {
  const nearest = sampling.interpolation === 'nearest';
  // its pixels are brought inside, not its place (as in PyTorch and onnxruntime)
  const cubic = sampling.interpolation === 'cubic';
  const inside = cubic ? place : padCoordinates(nearest ? withoutTape(() => tf.round(place)) : place, size, sampling);
  if (nearest) return [tap(inside, null, size, sampling)];
  const floor = withoutTape(() => tf.floor(inside));
  const t = tf.sub(inside, floor);
  const [first, weights] = sampling.interpolation === 'linear' ? [0, [tf.sub(1, t), t]] : [-1, cubicWeights(t)];
  return weights.map((weight, i) =>
    tap(
      withoutTape(() => tf.add(floor, first + i)),
      weight,
      size,
      sampling,
    ),
  );
}

/** Places outside as the padding sees them. */
function padCoordinates(place: TfTensor, size: number, { outside, alignCorners }: Sampling): TfTensor {
  if (outside === 'border') return tf.clipByValue(place, 0, size - 1);
  return outside === 'reflection' ? mirrored(place, size, alignCorners) : place;
}

/** Reflected as often as it takes, at both ends. */
function mirrored(place: TfTensor, size: number, alignCorners: boolean): TfTensor {
  const [low, range] = alignCorners ? [0, size - 1] : [-0.5, size];
  if (range === 0) return tf.zerosLike(place);
  const distance = tf.abs(tf.sub(place, low));
  const flips = withoutTape(() => tf.floor(tf.div(distance, range)));
  const rest = tf.sub(distance, tf.mul(flips, range));
  const odd = withoutTape(() => tf.equal(tf.mod(flips, 2), 1));
  return tf.where(odd, tf.sub(low + range, rest), tf.add(rest, low));
}

function tap(index: TfTensor, weight: TfTensor | null, size: number, sampling: Sampling): Tap {
  if (sampling.outside !== 'zeros')
    return {
      index: withoutTape(() =>
        tf.clipByValue(
          sampling.outside === 'reflection' ? tf.floor(mirrored(index, size, sampling.alignCorners)) : index,
          0,
          size - 1,
        ),
      ),
      weight,
    };
  const valid = withoutTape(() =>
    tf.cast(tf.logicalAnd(tf.greaterEqual(index, 0), tf.lessEqual(index, size - 1)), 'float32'),
  );
  return {
    index: withoutTape(() => tf.clipByValue(index, 0, size - 1)),
    weight: weight ? tf.mul(weight, valid) : valid,
  };
}

/** Weights of the pixels at distances 1 + t, t, 1 - t, 2 - t (Keys, 1981). */
function cubicWeights(t: TfTensor): TfTensor[] {
  const near = (x: TfTensor): TfTensor => tf.add(tf.mul(tf.mul(tf.sub(tf.mul(x, CUBIC + 2), CUBIC + 3), x), x), 1);
  const far = (x: TfTensor): TfTensor =>
    tf.sub(tf.mul(tf.add(tf.mul(tf.sub(tf.mul(x, CUBIC), 5 * CUBIC), x), 8 * CUBIC), x), 4 * CUBIC);
  const other = tf.sub(1, t);
  return [far(tf.add(t, 1)), near(t), near(other), far(tf.add(other, 1))];
}
