/** Moving elements on the host: views, joins, picks. Any element type, strings included. */
import { nth } from '../../ir/checked-access.ts';
import { GraphError } from '../../ir/graph-error.ts';
import { allocate, elementCount } from '../../ir/tensor-data.ts';
import type { DataType } from '../../ir/types.ts';
import type { HostData, HostTensor } from '../../ir/host-tensor.ts';
import { stridesOf } from '../shapes.ts';
import { broadcastStrides, viewOffsets } from './offsets.ts';

/** Elements at these offsets. An offset below 0 takes `fill` (default: zero, false or ''). */
export function pick(
  x: HostTensor,
  offsets: ArrayLike<number>,
  dims: readonly number[],
  fill?: HostTensor | null,
): HostTensor {
  return { dtype: x.dtype, dims, data: pickData(x.dtype, x.data, offsets, fill?.data[0]) };
}

function pickData(
  dtype: DataType,
  data: HostData,
  offsets: ArrayLike<number>,
  fill: string | number | bigint | undefined,
): HostData {
  const out: { [i: number]: unknown } & HostData =
    dtype === 'string' ? new Array<string>(offsets.length) : allocate(dtype, offsets.length);
  const blank =
    fill ?? (dtype === 'string' ? '' : typeof data[0] === 'bigint' || dtype === 'int64' || dtype === 'uint64' ? 0n : 0);
  for (let i = 0; i < offsets.length; i++) {
    const offset = offsets[i]!;
    (out as { [i: number]: unknown })[i] = offset < 0 ? blank : data[offset];
  }
  return out;
}

/** Same elements in another shape. */
export function reshape(x: HostTensor, dims: readonly number[]): HostTensor {
  if (elementCount(dims) !== elementCount(x.dims))
    throw new GraphError(`[${x.dims.join(', ')}] cannot be reshaped to [${dims.join(', ')}]`);
  return { ...x, dims };
}

/** A strided view as a tensor of its own. */
export function view(x: HostTensor, dims: readonly number[], strides: readonly number[], start = 0): HostTensor {
  return pick(x, viewOffsets(dims, strides, start), dims);
}

export function transpose(x: HostTensor, perm: readonly number[]): HostTensor {
  const strides = stridesOf(x.dims);
  return view(
    x,
    perm.map((axis) => nth(x.dims, axis)),
    perm.map((axis) => nth(strides, axis)),
  );
}

export function broadcastTo(x: HostTensor, dims: readonly number[]): HostTensor {
  return view(x, dims, broadcastStrides(x.dims, dims));
}

/** Elements `start`, `start + step`... of each axis. */
export function slice(
  x: HostTensor,
  starts: readonly number[],
  steps: readonly number[],
  dims: readonly number[],
): HostTensor {
  const strides = stridesOf(x.dims);
  const start = starts.reduce((sum, s, axis) => sum + s * nth(strides, axis), 0);
  return view(
    x,
    dims,
    strides.map((stride, axis) => stride * nth(steps, axis)),
    start,
  );
}

export function concat(parts: readonly HostTensor[], axis: number): HostTensor {
  const first = nth(parts, 0);
  const inner = elementCount(first.dims.slice(axis + 1));
  const outer = elementCount(first.dims.slice(0, axis));
  const total = parts.reduce((sum, { dims }) => sum + nth(dims, axis), 0);
  const all = parts.flatMap(({ data }) => (typeof data[0] === 'string' ? [...(data as readonly string[])] : []));
  const dims = first.dims.map((size, i) => (i === axis ? total : size));
  if (first.dtype === 'string')
    return pick({ dtype: 'string', dims: [all.length], data: all }, joinOffsets(parts, axis, outer, inner), dims);
  const out = allocate(first.dtype, elementCount(dims));
  let column = 0;
  for (const { dims: own, data } of parts) {
    const run = nth(own, axis) * inner;
    const source = data as Exclude<HostData, readonly string[]>;
    for (let row = 0; row < outer; row++)
      out.set(source.subarray(row * run, (row + 1) * run) as never, row * total * inner + column);
    column += run;
  }
  return { dtype: first.dtype, dims, data: out };
}

/** Offsets into the parts laid end to end. */
function joinOffsets(parts: readonly HostTensor[], axis: number, outer: number, inner: number): number[] {
  const offsets: number[] = [];
  for (let row = 0; row < outer; row++) {
    let base = 0;
    for (const { dims } of parts) {
      const run = dims[axis]! * inner;
      for (let i = 0; i < run; i++) offsets.push(base + row * run + i);
      base += outer * run;
    }
  }
  return offsets;
}

/**
 * Elements whose index along each axis is `maps[axis][i]` of the output's i; -1 takes the fill. Padding, cropping,
 * tiling, reversing and picking along axes all reduce to it.
 */
export function pickAlong(x: HostTensor, maps: readonly ArrayLike<number>[], fill?: HostTensor | null): HostTensor {
  const dims = maps.map(({ length }) => length);
  return pick(x, offsetsAlong(x.dims, maps), dims, fill);
}

/** Offsets of a product of index lists, one list per axis of a tensor of shape `dims`. */
export function offsetsAlong(dims: readonly number[], maps: readonly ArrayLike<number>[]): Int32Array {
  const strides = stridesOf(dims);
  let offsets = Int32Array.of(0);
  maps.forEach((map, axis) => {
    const next = new Int32Array(offsets.length * map.length);
    for (let i = 0, k = 0; i < offsets.length; i++) {
      for (let j = 0; j < map.length; j++)
        next[k++] = offsets[i]! < 0 || map[j]! < 0 ? -1 : offsets[i]! + map[j]! * strides[axis]!;
    }
    offsets = next;
  });
  return offsets;
}

/** 0, 1, ... n - 1. */
export function countTo(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}
