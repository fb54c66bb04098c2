/** Slices with any steps, and lists of positions along an axis, differentiable. */
import { nth } from '../../ir/checked-access.ts';
import { withGradient } from '../../tensor/nn/gradient.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';
import { gatherAxis } from './rows.ts';

/** Elements start, start + step... of every axis; steps may be negative. */
export function slicedBy(
  x: TfTensor,
  starts: readonly number[],
  steps: readonly number[],
  sizes: readonly number[],
): TfTensor {
  if (sizes.includes(0)) return tf.zeros([...sizes], x.dtype);
  const backward = steps.flatMap((step, axis) => (step < 0 ? [axis] : []));
  const forward = backward.length > 0 ? tf.reverse(x, backward) : x;
  const begins = starts.map((start, axis) => (nth(steps, axis) < 0 ? nth(x.shape, axis) - 1 - start : start));
  const strides = steps.map(Math.abs);
  if (strides.every((stride) => stride === 1)) return tf.slice(forward, begins, [...sizes]);
  return subsample(
    tf.slice(
      forward,
      begins,
      sizes.map((size, axis) => (size - 1) * nth(strides, axis) + 1),
    ),
    strides,
  );
}

/** Every stride-th element of every axis. Gradient: zeros between the elements. */
function subsample(x: TfTensor, strides: readonly number[]): TfTensor {
  return withGradient([x], (v) => ({
    value: tf.stridedSlice(
      v,
      v.shape.map(() => 0),
      v.shape,
      [...strides],
    ),
    saved: [],
    gradient: (dy) => [
      strides.reduce<TfTensor>((g, stride, axis) => (stride === 1 ? g : interleave(g, axis, stride)), dy),
    ],
  }));
}

/** Puts stride - 1 zeros between the elements of an axis. */
function interleave(x: TfTensor, axis: number, stride: number): TfTensor {
  const before = x.shape.slice(0, axis + 1).reduce((a, b) => a * b, 1);
  const after = x.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const spread = tf.pad(tf.reshape(x, [before, 1, after]), [
    [0, 0],
    [0, stride - 1],
    [0, 0],
  ]);
  const wide = tf.reshape(
    spread,
    x.shape.map((size, i) => (i === axis ? size * stride : size)),
  );
  return tf.slice(
    wide,
    x.shape.map(() => 0),
    x.shape.map((size, i) => (i === axis ? (size - 1) * stride + 1 : size)),
  );
}

/** A list of up to this many runs is joined from slices, whose gradient is cheap; a longer one is gathered. */
const MAX_SEGMENTS = 8;

/** The elements at these positions of an axis, in this order: slices forward, backward, or of one element repeated. */
export function positionsAlong(x: TfTensor, axis: number, positions: readonly number[]): TfTensor {
  const segments = segmentsOf(positions);
  if (segments.length > MAX_SEGMENTS) return gatherAxis(x, tf.tensor1d([...positions], 'int32'), axis);
  const parts = segments.map(({ start, step, count }) => {
    const along = (value: number, other: readonly number[]): number[] =>
      other.map((size, i) => (i === axis ? value : size));
    const begin = along(
      start + Math.min(step, 0) * (count - 1),
      x.shape.map(() => 0),
    );
    const part = tf.slice(x, begin, along(step === 0 ? 1 : count, x.shape));
    return step === 0
      ? tf.tile(
          part,
          along(
            count,
            x.shape.map(() => 1),
          ),
        )
      : step < 0
        ? tf.reverse(part, [axis])
        : part;
  });
  return parts.length === 1 ? nth(parts, 0) : tf.concat(parts, axis);
}

interface Segment {
  readonly start: number;
  readonly step: number;
  count: number;
}

function segmentsOf(positions: readonly number[]): Segment[] {
  const segments: Segment[] = [];
  let i = 0;
  while (i < positions.length) {
    const start = positions[i]!;
    const step = i + 1 < positions.length ? positions[i + 1]! - start : 1;
    let count = 1;
    if (Math.abs(step) <= 1)
      while (i + count < positions.length && positions[i + count]! - positions[i + count - 1]! === step) count++;
    segments.push({ start, step: Math.abs(step) <= 1 ? step : 1, count });
    i += count;
  }
  return segments;
}
