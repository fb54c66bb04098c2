/**
 * For the tests of the primitives: directional derivatives against finite differences, and direct sums in double
 * precision.
 */
import { tf } from '../../src/compression/tensor/tf.ts';
import type { TfTensor } from '../../src/compression/tensor/tf.ts';

/** A reproducible tensor of values spread over [-1, 1], no two equal. */
export function filled(shape: readonly number[], salt = 1): TfTensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, (_, i) => 2 * (((i + salt) * 0.6180339887498949 + salt * 0.41421356) % 1) - 1),
    [...shape],
  );
}

/**
 * For every input: <gradient, direction> against the central difference of sum(f * weights) along that direction,
 * relative to the size of both. `step` is large for linear functions, whose differences are exact but for rounding.
 */
export function gradientErrors(
  f: (...inputs: TfTensor[]) => TfTensor,
  inputs: readonly TfTensor[],
  step: number,
): number[] {
  const weights = filled(f(...inputs).shape, 7);
  const objective = (...args: TfTensor[]) => tf.sum(tf.mul(f(...args), weights));
  const exact = (args: readonly TfTensor[]) => dot(f(...args), weights);
  const gradients = tf.grads(objective)([...inputs]) as TfTensor[];
  return inputs.map((input, index) => {
    const direction = filled(input.shape, 11 + index);
    const moved = (sign: number) =>
      inputs.map((other, i) => (i === index ? tf.add(other, tf.mul(direction, sign * step)) : other));
    const expected = (exact(moved(1)) - exact(moved(-1))) / (2 * step);
    const actual = dot(gradients[index]!, direction);
    return Math.abs(expected - actual) / (norm(gradients[index]!) * norm(direction) + 1e-6);
  });
}

function dot(a: TfTensor, b: TfTensor): number {
  const [x, y] = [a.dataSync() as Float32Array, b.dataSync() as Float32Array];
  return x.reduce((sum, value, i) => sum + value * y[i]!, 0);
}

function norm(a: TfTensor): number {
  return Math.sqrt(dot(a, a));
}

export function maxDifference(a: TfTensor, b: ArrayLike<number>): number {
  const x = a.dataSync() as Float32Array;
  if (x.length !== b.length) return Infinity;
  return x.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
}

export interface Sliding {
  readonly strides?: readonly number[];
  readonly pads?: readonly number[];
  readonly dilations?: readonly number[];
}

/** Visits every (output position, kernel position, input position inside x), row-major. */
export function slide(
  input: readonly number[],
  kernel: readonly number[],
  options: Sliding,
  visit: (out: number, k: number, at: number) => void,
): number[] {
  const rank = kernel.length;
  const stride = (i: number) => options.strides?.[i] ?? 1;
  const dilation = (i: number) => options.dilations?.[i] ?? 1;
  const pad = (i: number) => options.pads?.[i] ?? 0;
  const out = input.map(
    (size, i) => Math.floor((size + pad(i) + pad(i + rank) - (kernel[i]! - 1) * dilation(i) - 1) / stride(i)) + 1,
  );
  indices(out).forEach((o, outIndex) =>
    indices(kernel).forEach((k, kernelIndex) => {
      const at = o.map((value, i) => value * stride(i) + k[i]! * dilation(i) - pad(i));
      if (at.every((value, i) => value >= 0 && value < input[i]!))
        visit(
          outIndex,
          kernelIndex,
          at.reduce((flat, value, i) => flat * input[i]! + value, 0),
        );
    }),
  );
  return out;
}

function indices(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (all, size) => all.flatMap((p) => Array.from({ length: size }, (_, i) => [...p, i])),
    [[]],
  );
}

/** Cross-correlation in double precision: x [n, ...spatial, g*ci], w [...k, ci, g*co]. */
export function directConv(x: TfTensor, w: TfTensor, options: Sliding & { groups?: number }): number[] {
  const groups = options.groups ?? 1;
  const [n, channels] = [x.shape[0], x.shape.at(-1)!];
  const [ci, out] = w.shape.slice(-2) as [number, number];
  const [xs, ws] = [x.dataSync(), w.dataSync()];
  const spatial = x.shape.slice(1, -1);
  const area = spatial.reduce((a, b) => a * b, 1);
  const y = new Map<number, number>();
  for (let b = 0; b < n; b++) {
    const count = slide(spatial, w.shape.slice(0, -2), options, () => undefined).reduce((a, c) => a * c, 1);
    slide(spatial, w.shape.slice(0, -2), options, (o, k, at) => {
      for (let c = 0; c < out; c++) {
        const group = Math.floor(c / (out / groups));
        for (let i = 0; i < ci; i++) {
          const key = (b * count + o) * out + c;
          y.set(
            key,
            (y.get(key) ?? 0) + xs[(b * area + at) * channels + group * ci + i]! * ws[(k * ci + i) * out + c]!,
          );
        }
      }
    });
    for (let key = b * count * out; key < (b + 1) * count * out; key++) if (!y.has(key)) y.set(key, 0);
  }
  return Array.from({ length: y.size }, (_, key) => y.get(key)!);
}

/** Pooling in double precision. */
export function directPool(
  x: TfTensor,
  kernel: readonly number[],
  options: Sliding,
  reduce: (values: number[]) => number,
): number[] {
  const spatial = x.shape.slice(1, -1);
  const [n, channels] = [x.shape[0], x.shape.at(-1)!];
  const area = spatial.reduce((a, b) => a * b, 1);
  const xs = x.dataSync();
  const windows: number[][] = [];
  const out = slide(spatial, kernel, options, () => undefined).reduce((a, c) => a * c, 1);
  for (let i = 0; i < n * out * channels; i++) windows.push([]);
  for (let b = 0; b < n; b++) {
    slide(spatial, kernel, options, (o, _, at) => {
      for (let c = 0; c < channels; c++)
        windows[(b * out + o) * channels + c]!.push(xs[(b * area + at) * channels + c]!);
    });
  }
  return windows.map(reduce);
}

/** softmax(q k' * scale + mask) v of [b, n, s, d] in double precision, mask [b, n, rows, columns]. */
export function directAttention(q: TfTensor, k: TfTensor, v: TfTensor, scale: number, mask: TfTensor | null): number[] {
  const [rows, columns, size, valueSize] = [q.shape[2]!, k.shape[2]!, q.shape[3]!, v.shape[3]!];
  const [queries, keys, values, added] = [q, k, v, mask].map((x) => x?.dataSync() as Float32Array);
  const result: number[] = [];
  for (let row = 0; row < q.shape[0] * q.shape[1]! * rows; row++) {
    const head = Math.floor(row / rows);
    const scores = Array.from({ length: columns }, (_, column) => {
      let sum = 0;
      for (let i = 0; i < size; i++) sum += queries![row * size + i]! * keys![(head * columns + column) * size + i]!;
      return sum * scale + (mask ? added![row * columns + column]! : 0);
    });
    const largest = Math.max(...scores);
    const shares = scores.map((score) => Math.exp(score - largest));
    const total = shares.reduce((a, b) => a + b);
    for (let i = 0; i < valueSize; i++)
      result.push(
        shares.reduce((sum, share, column) => sum + share * values![(head * columns + column) * valueSize + i]!, 0) /
          total,
      );
  }
  return result;
}
