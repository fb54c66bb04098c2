import { elementAt } from './checked-access.ts';
import { BITS, elementCount } from './tensor-data.ts';
import type { Tensor } from './types.ts';

/** The tensor with its axes in the order `perm`. Elements must be whole bytes wide. */
export function transposeTensor(tensor: Tensor, perm: readonly number[], name = tensor.name): Tensor {
  const size = BITS[tensor.dtype] / 8;
  const dims = perm.map((axis) => elementAt(tensor.dims, axis, 'axis'));
  const strides = rowMajorStrides(tensor.dims);
  const steps = perm.map((axis) => elementAt(strides, axis, 'axis') * size);
  const bytes = new Uint8Array(tensor.bytes.length);
  const index = new Array<number>(dims.length).fill(0);
  let source = 0;
  for (let target = 0, count = elementCount(dims); target < count; target++) {
    for (let i = 0; i < size; i++) bytes[target * size + i] = tensor.bytes[source + i]!;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      source += steps[axis]!;
      if (++index[axis]! < dims[axis]!) break;
      source -= steps[axis]! * dims[axis]!;
      index[axis] = 0;
    }
  }
  return { name, dtype: tensor.dtype, dims, bytes };
}

function rowMajorStrides(dims: readonly number[]): number[] {
  return dims.map((_, axis) => elementCount(dims.slice(axis + 1)));
}
