/** Exact matrix products of integers on the host. */
import { allocate, hostNumbers } from '../ir/tensor-data.ts';
import type { DataType } from '../ir/types.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import { broadcastShapes, sizeOf, stridesOf } from './shapes.ts';

/**
 * a [..., m, k] by b [..., k, n], vectors as in numpy; sums wrap round as the type's do. Exact while sums stay below
 * 2^53.
 */
export function integerMatMul(a: HostTensor, b: HostTensor, dtype: DataType): HostTensor {
  const left = a.dims.length === 1 ? [1, a.dims[0]!] : [...a.dims];
  const right = b.dims.length === 1 ? [b.dims[0]!, 1] : [...b.dims];
  const batch = broadcastShapes(left.slice(0, -2), right.slice(0, -2)) as number[];
  const [m, k, n] = [left.at(-2)!, left.at(-1)!, right.at(-1)!];
  const [x, y] = [hostNumbers(a), hostNumbers(b)];
  const sums = new Float64Array(sizeOf(batch) * m * n);
  for (let matrix = 0; matrix < sizeOf(batch); matrix++) {
    const xAt = batchOffset(matrix, batch, left.slice(0, -2)) * m * k;
    const yAt = batchOffset(matrix, batch, right.slice(0, -2)) * k * n;
    multiply({ x, xAt, y, yAt, sums, at: matrix * m * n, m, k, n });
  }
  const dims = [...batch, ...(a.dims.length === 1 ? [] : [m]), ...(b.dims.length === 1 ? [] : [n])];
  return { dtype, dims, data: wrap(sums, dtype) };
}

interface IntegerProduct {
  readonly x: readonly number[];
  readonly xAt: number;
  readonly y: readonly number[];
  readonly yAt: number;
  readonly sums: Float64Array;
  readonly at: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

function multiply({ x, xAt, y, yAt, sums, at, m, k, n }: IntegerProduct): void {
  for (let row = 0; row < m; row++)
    for (let inner = 0; inner < k; inner++) {
      const factor = x[xAt + row * k + inner]!;
      if (factor === 0) continue;
      for (let column = 0; column < n; column++) sums[at + row * n + column]! += factor * y[yAt + inner * n + column]!;
    }
}

/** Index of the operand's matrix that broadcasts to matrix `flat` of the result. */
function batchOffset(flat: number, batch: readonly number[], own: readonly number[]): number {
  const strides = stridesOf(own);
  let offset = 0;
  let rest = flat;
  for (let i = batch.length - 1; i >= 0; i--) {
    const index = rest % batch[i]!;
    rest = Math.floor(rest / batch[i]!);
    const axis = i - (batch.length - own.length);
    if (axis >= 0 && own[axis] !== 1) offset += index * strides[axis]!;
  }
  return offset;
}

function wrap(sums: Float64Array, dtype: DataType): HostTensor['data'] {
  const data = allocate(dtype, sums.length);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    for (let i = 0; i < sums.length; i++) data[i] = BigInt(sums[i]!);
  else data.set(sums);
  return data;
}
