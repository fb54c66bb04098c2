/**
 * Where elements lie: every host kernel that moves data is a list of source offsets and one copy. Offsets are computed
 * by an odometer over the output's axes, so that the inner loop is one addition per element.
 */
import { GraphError } from '../../ir/graph-error.ts';
import { elementCount } from '../../ir/tensor-data.ts';
import { stridesOf } from '../shapes.ts';

/**
 * Offsets of all elements of a strided view, in row-major order of `dims`. Strides may be 0 (broadcasting) or negative.
 */
export function viewOffsets(dims: readonly number[], strides: readonly number[], start = 0): Int32Array {
  const count = elementCount(dims);
  const offsets = new Int32Array(count);
  if (count === 0) return offsets;
  const rank = dims.length;
  const inner = rank === 0 ? 1 : dims[rank - 1]!;
  const step = rank === 0 ? 0 : strides[rank - 1]!;
  const position = new Array<number>(Math.max(rank - 1, 0)).fill(0);
  let offset = start;
  for (let i = 0; i < count; ) {
    for (let j = 0; j < inner; j++) offsets[i++] = offset + j * step;
    offset = advance(position, dims, strides, offset);
  }
  return offsets;
}

/** Moves the odometer over all axes but the last by one; returns the new offset. */
function advance(position: number[], dims: readonly number[], strides: readonly number[], offset: number): number {
  for (let axis = position.length - 1; axis >= 0; axis--) {
    offset += strides[axis]!;
    if (++position[axis]! < dims[axis]!) return offset;
    offset -= position[axis]! * strides[axis]!;
    position[axis] = 0;
  }
  return offset;
}

/** The shape that operands of these shapes broadcast to. @throws GraphError where they do not. */
export function broadcastDims(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const dims = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    shape.forEach((size, i) => {
      const axis = rank - shape.length + i;
      if (size === dims[axis] || size === 1) return;
      if (dims[axis] !== 1)
        throw new GraphError(`shapes ${shapes.map((s) => `[${s.join(', ')}]`).join(' and ')} do not broadcast`);
      dims[axis] = size;
    });
  }
  return dims;
}

/** Strides that read a tensor of shape `dims` as if it were of shape `target`: 0 along the axes that are repeated. */
export function broadcastStrides(dims: readonly number[], target: readonly number[]): number[] {
  const own = stridesOf(dims);
  const lead = target.length - dims.length;
  return target.map((_, axis) => (axis < lead || dims[axis - lead] === 1 ? 0 : own[axis - lead]!));
}

export function sameDims(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}
