/** Det: determinants of the matrices in the last two axes. */
import { GraphError } from '../ir/graph-error.ts';
import { saving, withGradient } from '../tensor/nn/gradient.ts';
import { tf } from '../tensor/tf.ts';
import { FULL, ONNX_ORDER, needs } from './define.ts';
import { generate } from './host/data.ts';
import type { NodeInfo } from '../ir/node-info.ts';
import type { Operator } from './operator.ts';
import { shapeOf, typeOf } from './shapes.ts';

/** By elimination with partial pivoting. @param a n x n, row-major; overwritten */
export function determinant(a: Float64Array, n: number): number {
  let det = 1;
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let row = column + 1; row < n; row++)
      if (Math.abs(a[row * n + column]!) > Math.abs(a[pivot * n + column]!)) pivot = row;
    if (a[pivot * n + column] === 0) return 0;
    if (pivot !== column) {
      det = -det;
      for (let k = 0; k < n; k++) [a[pivot * n + k], a[column * n + k]] = [a[column * n + k]!, a[pivot * n + k]!];
    }
    det *= a[column * n + column]!;
    for (let row = column + 1; row < n; row++) {
      const factor = a[row * n + column]! / a[column * n + column]!;
      for (let k = column; k < n; k++) a[row * n + k]! -= factor * a[column * n + k]!;
    }
  }
  return det;
}

function determinants(data: ArrayLike<number>, n: number): Float64Array {
  const size = n * n;
  return Float64Array.from({ length: data.length / size }, (_, i) =>
    determinant(
      Float64Array.from({ length: size }, (__, k) => data[i * size + k]!),
      n,
    ),
  );
}

/** The gradient of a determinant: the signed minors. They exist for singular matrices, too. */
function cofactors(data: ArrayLike<number>, n: number): Float32Array {
  return Float32Array.from({ length: data.length }, (_, at) => {
    const [start, row, column] = [at - (at % (n * n)), Math.floor(at / n) % n, at % n];
    const minor = new Float64Array((n - 1) * (n - 1));
    for (let r = 0, k = 0; r < n; r++)
      for (let c = 0; c < n; c++) if (r !== row && c !== column) minor[k++] = data[start + r * n + c]!;
    return ((row + column) % 2 === 0 ? 1 : -1) * determinant(minor, n - 1);
  });
}

function square(dims: readonly number[]): number {
  const n = dims.at(-1);
  if (dims.length < 2 || n !== dims.at(-2) || n === 0)
    throw new GraphError(`[${dims.join(', ')}] holds no square matrices`);
  return n!;
}

export const determinantOperators: readonly Operator[] = [
  {
    type: 'Det',
    domain: '',
    since: 11,
    layout: ONNX_ORDER,
    differentiability: FULL,
    infer: (info: NodeInfo) => [{ dtype: typeOf(info).dtype, shape: shapeOf(info)?.slice(0, -2) ?? null }],
    host: needs(1, ([x]) => {
      const values = determinants(x.data as ArrayLike<number>, square(x.dims));
      return [generate(x.dtype, x.dims.slice(0, -2), (i) => values[i]!)];
    }),
    device: (ctx) => {
      const n = square(ctx.dims(0));
      return [
        withGradient([ctx.tensor(0)], (x) => {
          const data = x.dataSync();
          const minors = tf.tensor(cofactors(data, n), x.shape);
          const batch = x.shape.slice(0, -2);
          return saving({
            value: tf.tensor(Float32Array.from(determinants(data, n)), batch),
            saved: [minors],
            gradient: (dy, [signed]) => [tf.mul(signed, tf.reshape(dy, [...batch, 1, 1]))],
          });
        }),
      ];
    },
  },
];
