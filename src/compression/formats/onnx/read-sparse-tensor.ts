/**
 * SparseTensorProto -> Tensor: what a graph stores sparsely is computed densely, as onnxruntime does when it opens the
 * file.
 */
import { LatheError } from '../../../errors.ts';
import { BITS, byteLength, elementCount, hostNumbers, toHost } from '../../ir/tensor-data.ts';
import { printable } from '../../ir/graph-error.ts';
import type { Tensor } from '../../ir/types.ts';
import { readTensor } from './read-tensor.ts';
import type { MessageReader } from './wire.ts';

/** Bytes that one sparse tensor may become: a few bytes of file can declare any shape. */
const MAX_DENSE_BYTES = 2 ** 30;

/**
 * Decodes a sparse tensor: values [nnz], indices [nnz] (places in the flattened tensor) or [nnz, rank] (coordinates),
 * dims [rank]. Source: onnx.proto, SparseTensorProto.
 * @throws LatheError `malformed-model` where the three contradict each other; `too-large` beyond 1 GiB of dense
 * elements
 */
export function readSparseTensor(reader: MessageReader): Tensor {
  let values: Tensor | undefined;
  let indices: Tensor | undefined;
  const dims: number[] = [];
  while (reader.next()) {
    if (reader.field === 1) values = readTensor(reader.message(() => 'values of a sparse tensor'));
    else if (reader.field === 2) indices = readTensor(reader.message(() => 'indices of a sparse tensor'));
    else if (reader.field === 3) reader.ints(dims);
    else reader.record();
  }
  if (!values) throw reader.error('a sparse tensor has no values');
  const { name, dtype } = values;
  if (BITS[dtype] < 8 || dims.length === 0 || dims.some((dim) => dim < 0))
    throw reader.error(`a sparse tensor "${printable(name)}" of ${dtype} [${dims.join(', ')}]`);
  const size = byteLength(dtype, dims);
  if (size > MAX_DENSE_BYTES)
    throw new LatheError(
      'too-large',
      `The sparse tensor "${printable(name)}" of ${dtype} [${dims.join(', ')}] would take ${size} bytes; ` +
        `${MAX_DENSE_BYTES} are allowed`,
    );
  const places = flatPlaces(reader, values, indices, dims);
  const bytes = new Uint8Array(size);
  const width = BITS[dtype] / 8;
  places.forEach((place, i) => bytes.set(values.bytes.subarray(i * width, (i + 1) * width), place * width));
  return { name, dtype, dims, bytes };
}

/** The place of each value in the row-major dense tensor. */
function flatPlaces(
  reader: MessageReader,
  values: Tensor,
  indices: Tensor | undefined,
  dims: readonly number[],
): number[] {
  const count = elementCount(values.dims);
  const named = `sparse tensor "${printable(values.name)}"`;
  if (count === 0) return [];
  const coordinates = indices?.dims.length === 2;
  const expected = coordinates ? [count, dims.length] : [count];
  if (indices?.dtype !== 'int64' || indices.dims.join() !== expected.join()) {
    throw reader.error(
      `${named}: ${count} values with indices ${indices ? `${indices.dtype} [${indices.dims.join(', ')}]` : 'missing'}`,
    );
  }
  const numbers = hostNumbers(toHost(indices));
  const limits = coordinates ? dims : [elementCount(dims)];
  const outside = numbers.find((index, i) => index < 0 || index >= limits[i % limits.length]!);
  if (outside !== undefined) throw reader.error(`${named}: index ${outside} lies outside [${dims.join(', ')}]`);
  if (!coordinates) return numbers;
  return Array.from({ length: count }, (_, row) =>
    dims.reduce((place, dim, axis) => place * dim + numbers[row * dims.length + axis]!, 0),
  );
}
