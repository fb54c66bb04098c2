/** Elementwise functions whose gradient tfjs lacks, or has wrong at the edges: ties, zeros, steps. */
import { saving, withGradient } from '../../tensor/nn/gradient.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';
import { sumTo } from './broadcast.ts';

/** The greater of two; equal ones share the gradient, NaN wins. */
export function maximum(a: TfTensor, b: TfTensor): TfTensor {
  return extremum(
    a,
    b,
    (x, y) => withNaN(tf.maximum(x, y), y),
    (x, y) => tf.greater(x, y),
  );
}

export function minimum(a: TfTensor, b: TfTensor): TfTensor {
  return extremum(
    a,
    b,
    (x, y) => withNaN(tf.minimum(x, y), y),
    (x, y) => tf.less(x, y),
  );
}

/** On WebAssembly a NaN of the second operand gets lost. */
function withNaN(result: TfTensor, second: TfTensor): TfTensor {
  return tf.getBackend() === 'wasm'
    ? tf.where(spread(tf.isNaN(second), result.shape), tf.fill(result.shape, NaN), result)
    : result;
}

type Pair = (a: TfTensor, b: TfTensor) => TfTensor;

function extremum(a: TfTensor, b: TfTensor, choose: Pair, beats: Pair): TfTensor {
  return withGradient([a, b], (x, y) =>
    saving({
      value: choose(x, y),
      saved: [x, y],
      gradient: (dy, [p, q]) => {
        const tie = tf.mul(dy, tf.mul(tf.cast(tf.equal(p, q), 'float32'), 0.5));
        const share = (wins: TfTensor, shape: readonly number[]): TfTensor =>
          sumTo(tf.add(tf.where(wins, dy, tf.zerosLike(dy)), tie), shape);
        return [share(beats(p, q), p.shape), share(beats(q, p), q.shape)];
      },
    }),
  );
}

/** a^b. Gradient for a: b a^(b-1), and 0 where b = 0; for b: ln(a) a^b, and 0 where a <= 0 (it is undefined below). */
export function power(a: TfTensor, b: TfTensor): TfTensor {
  return withGradient([a, b], (x, y) => {
    const value = tf.pow(x, y);
    return saving({
      value,
      saved: [x, y, value],
      gradient: (dy, [p, q, r]) => {
        const flat = tf.equal(q, 0);
        const base = tf.where(spread(flat, dy.shape), tf.zerosLike(dy), tf.mul(dy, tf.mul(q, tf.pow(p, tf.sub(q, 1)))));
        const positive = tf.greater(p, 0);
        const log = tf.log(tf.where(positive, p, tf.onesLike(p)));
        return [sumTo(base, p.shape), sumTo(tf.mul(dy, tf.mul(r, log)), q.shape)];
      },
    });
  });
}

/** x^n for a constant n. */
export function powerOf(x: TfTensor, n: number): TfTensor {
  if (n === 2) return tf.square(x);
  if (n === 0.5) return tf.sqrt(x);
  if (n === 1) return tf.clone(x);
  if (n === 0) return tf.onesLike(x);
  return withGradient([x], (v) =>
    saving({
      value: tf.pow(v, n),
      saved: [v],
      gradient: (dy, [p]) => [tf.mul(dy, tf.mul(n, tf.pow(p, n - 1)))],
    }),
  );
}

/** |x|, with gradient 0 at 0. */
export function absolute(x: TfTensor): TfTensor {
  return withGradient([x], (v) =>
    saving({ value: tf.abs(v), saved: [v], gradient: (dy, [p]) => [tf.mul(dy, tf.sign(p))] }),
  );
}

/**
 * x where the mask holds, else y; broadcasts. The element that is not chosen gets no gradient, even where it is NaN.
 */
export function choose(mask: TfTensor, a: TfTensor, b: TfTensor): TfTensor {
  return withGradient([a, b], (x, y) => {
    const shape = broadcastShape(mask.shape, x.shape, y.shape);
    return saving({
      value: tf.where(spread(mask, shape), spread(x, shape), spread(y, shape)),
      saved: [mask, x, y],
      gradient: (dy, [m, p, q]) => {
        const none = tf.zerosLike(dy);
        const chosen = spread(m, dy.shape);
        return [sumTo(tf.where(chosen, dy, none), p.shape), sumTo(tf.where(chosen, none, dy), q.shape)];
      },
    });
  });
}

/** a - b floor(a / b), or with truncation: the sign of the divisor, or of the dividend. */
/**
 * x - whole * y. By an infinite divisor a finite number is its own remainder, or, rounded down with another sign, the
 * divisor (IEEE 754's fmod, Python's %).
 */
function remainder(x: TfTensor, y: TfTensor, whole: TfTensor, truncated: boolean): TfTensor {
  const plain = tf.sub(x, tf.mul(whole, y));
  const infinite = tf.logicalAnd(tf.isInf(y), tf.isFinite(x));
  const own = truncated ? tf.greaterEqual(tf.abs(x), 0) : tf.greaterEqual(tf.mul(tf.sign(x), tf.sign(y)), 0);
  return choose(infinite, choose(own, x, y), plain);
}

export function modulo(a: TfTensor, b: TfTensor, truncated: boolean): TfTensor {
  return withGradient([a, b], (x, y) => {
    const quotient = tf.div(x, y);
    const whole = truncated ? tf.mul(tf.sign(quotient), tf.floor(tf.abs(quotient))) : tf.floor(quotient);
    return saving({
      value: remainder(x, y, whole, truncated),
      saved: [x, y, whole],
      gradient: (dy, [p, q, w]) => [sumTo(dy, p.shape), sumTo(tf.neg(tf.mul(dy, w)), q.shape)],
    });
  });
}

/** Repeats to a shape (of any type; tf.broadcastTo takes bool on no engine). */
export function spread(x: TfTensor, shape: readonly number[]): TfTensor {
  const lead = shape.length - x.rank;
  const full = lead > 0 ? tf.reshape(x, [...new Array<number>(lead).fill(1), ...x.shape]) : x;
  const times = shape.map((size, axis) => (full.shape[axis] === size ? 1 : size));
  return tile(full, times);
}

/**
 * Copies along the axes. Of a rank of any size: tfjs has a gradient up to rank 4, and grouped queries repeat keys [n,
 * heads, 1, t, d] of rank 5.
 */
export function tile(x: TfTensor, times: readonly number[]): TfTensor {
  if (times.every((n) => n === 1)) return x;
  if (x.dtype !== 'float32') return tf.tile(x, [...times]);
  return withGradient([x], (v) => ({
    value: tf.tile(v, [...times]),
    saved: [],
    gradient: (dy) => [sumCopies(dy, x.shape, times)],
  }));
}

/** Sums the copies of each element, axis by axis: of [n s, rest] as [n, s rest]. */
function sumCopies(dy: TfTensor, shape: readonly number[], times: readonly number[]): TfTensor {
  let sum = dy;
  times.forEach((n, axis) => {
    if (n === 1) return;
    const outer = sum.shape.slice(0, axis).reduce((a, b) => a * b, 1);
    sum = tf.reshape(tf.sum(tf.reshape(sum, [outer, n, sum.size / (outer * n)]), 1), [
      ...shape.slice(0, axis + 1),
      ...sum.shape.slice(axis + 1),
    ]);
  });
  return sum;
}

export function broadcastShape(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((shape) => shape[axis - (rank - shape.length)] ?? 1);
    return sizes.find((size) => size !== 1) ?? 1;
  });
}
