/** Picking elements by indices: Gather, GatherElements, GatherND. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import type { Dim } from '../ir/types.ts';
import { gathering } from './channels/join-split.ts';
import { exactIntegers, firstInput, ONNX_ORDER, PASSES, type HostForm, needs } from './define.ts';
import { gatherAxis, takeElements, takeRows } from './device/rows.ts';
import { countTo, offsetsAlong, pick } from './host/movement.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { resolveAxis, shapeOf, sizeOf, stridesOf, typeOf } from './shapes.ts';

/** Indices as offsets along an axis of `size`; negative ones count from the end. @throws GraphError outside. */
export function resolvedIndices(indices: HostTensor, size: number): number[] {
  return hostNumbers(indices).map((index) => {
    const resolved = index < 0 ? index + size : index;
    if (resolved < 0 || resolved >= size) throw new GraphError(`index ${index} lies outside an axis of ${size}`);
    return resolved;
  });
}

/** Indices on the device, negative ones counted from the end. */
export function positive(indices: TfTensor, size: number): TfTensor {
  return withoutTape(() => {
    const whole = tf.cast(indices, 'int32');
    return tf.where(tf.less(whole, tf.scalar(0, 'int32')), tf.add(whole, tf.scalar(size, 'int32')), whole);
  });
}

function gatherType(info: NodeInfo): Inferred[] {
  const [data, indices] = [shapeOf(info, 0), shapeOf(info, 1)];
  const { dtype } = typeOf(info);
  if (!data || !indices) return [{ dtype, shape: null }];
  const axis = resolveAxis(info.int('axis', 0), data.length);
  return [{ dtype, shape: [...data.slice(0, axis), ...indices, ...data.slice(axis + 1)], ...gatheredElements(info) }];
}

/** Dimensions picked out of a shape. */
function gatheredElements(info: NodeInfo): Pick<Inferred, 'elements'> {
  const elements = info.partial(0);
  const indices = info.constant(1);
  if (!elements || !indices || (shapeOf(info, 0)?.length ?? 0) !== 1) return {};
  return { elements: resolvedIndices(indices, elements.length).map((index): Dim => elements[index]!) };
}

const gatherHost: HostForm = needs(2, ([data, indices], info) => {
  const axis = resolveAxis(info.int('axis', 0), data.dims.length);
  const maps = data.dims.map((size, i) => (i === axis ? resolvedIndices(indices, size) : countTo(size)));
  return [
    pick(data, offsetsAlong(data.dims, maps), [
      ...data.dims.slice(0, axis),
      ...indices.dims,
      ...data.dims.slice(axis + 1),
    ]),
  ];
});

/** Codes of a codebook. */
function areOffsets({ data }: HostTensor, size: number): boolean {
  for (let i = 0; i < data.length; i++) if (!(Number(data[i]) >= 0 && Number(data[i]) < size)) return false;
  return data.length > 0;
}

function gather(ctx: RunContext): TfTensor[] {
  const data = ctx.tensor(0);
  const axis = resolveAxis(ctx.int('axis', 0), data.rank);
  const known = data.rank === 1 && data.dtype === 'float32' && data.size > 0 ? ctx.constant(1) : null;
  if (known && areOffsets(known, data.size))
    return [tf.reshape(nn.pickNumbers(data, tf.reshape(ctx.tensor(1), [known.data.length])), [...known.dims])];
  return [gatherAxis(data, positive(ctx.tensor(1), nth(data.shape, axis)), axis)];
}

/** For every element of `shape` the offset of the element of `dims` with the same coordinates, but 0 along `axis`. */
export function offsetsBeside(dims: readonly number[], shape: readonly number[], axis: number): Int32Array {
  return offsetsAlong(
    dims,
    shape.map((size, i) => (i === axis ? new Array<number>(size).fill(0) : countTo(size))),
  );
}

const gatherElementsHost: HostForm = needs(2, ([data, indices], info) => {
  const { dims } = data;
  const axis = resolveAxis(info.int('axis', 0), dims.length);
  const stride = nth(stridesOf(dims), axis);
  const beside = offsetsBeside(dims, indices.dims, axis);
  return [
    pick(
      data,
      resolvedIndices(indices, nth(dims, axis)).map((index, i) => beside[i]! + index * stride),
      indices.dims,
    ),
  ];
});

/** Row-major offsets of the elements that GatherElements and ScatterElements address, int32 of the indices' shape. */
export function elementOffsets(indices: TfTensor, dims: readonly number[], axis: number): TfTensor {
  return withoutTape(() => {
    const along = tf.mul(positive(indices, nth(dims, axis)), tf.scalar(nth(stridesOf(dims), axis), 'int32'));
    return tf.add(along, tf.tensor(offsetsBeside(dims, indices.shape, axis), indices.shape, 'int32'));
  });
}

function gatherElements(ctx: RunContext): TfTensor[] {
  const [data, indices] = [ctx.tensor(0), ctx.tensor(1)];
  const axis = resolveAxis(ctx.int('axis', 0), data.rank);
  return [takeElements(data, elementOffsets(indices, data.shape, axis), indices.shape)];
}

/**
 * Offsets of the slices that index tuples [..., k] address in a tensor of shape `dims`, counted in slices; `batch`
 * leading axes run along.
 */
export function sliceRows(
  indices: readonly number[],
  tuples: readonly number[],
  dims: readonly number[],
  batch: number,
): number[] {
  const k = nth(tuples, -1);
  const addressed = dims.slice(batch, batch + k);
  const strides = stridesOf(addressed);
  const perBatch = sizeOf(tuples.slice(batch, -1));
  return Array.from({ length: sizeOf(tuples.slice(0, -1)) }, (_, row) => {
    let offset = Math.floor(row / perBatch) * sizeOf(addressed);
    for (let i = 0; i < k; i++) {
      const index = indices[row * k + i]!;
      const resolved = index < 0 ? index + addressed[i]! : index;
      if (resolved < 0 || resolved >= addressed[i]!)
        throw new GraphError(`index ${index} lies outside an axis of ${addressed[i]}`);
      offset += resolved * strides[i]!;
    }
    return offset;
  });
}

/** The same for tuples on the device: int32 [number of tuples]. */
export function deviceSliceRows(indices: TfTensor, dims: readonly number[], batch: number): TfTensor {
  return withoutTape(() => {
    const k = nth(indices.shape, -1);
    const addressed = dims.slice(batch, batch + k);
    const tuples = indices.shape.slice(0, -1);
    const count = sizeOf(tuples);
    if (k === 0 || count === 0) return tf.zeros([count], 'int32');
    const flat = tf.cast(tf.reshape(indices, [count, k]), 'int32');
    const sizes = tf.tensor2d(addressed, [1, k], 'int32');
    const resolved = tf.where(tf.less(flat, tf.scalar(0, 'int32')), tf.add(flat, sizes), flat);
    const rows = tf.sum(tf.mul(resolved, tf.tensor2d(stridesOf(addressed), [1, k], 'int32')), 1);
    if (batch === 0) return tf.cast(rows, 'int32');
    const perBatch = sizeOf(tuples.slice(batch));
    const starts = Int32Array.from({ length: count }, (_, row) => Math.floor(row / perBatch) * sizeOf(addressed));
    return tf.cast(tf.add(rows, tf.tensor1d(starts, 'int32')), 'int32');
  });
}

const gatherNdHost: HostForm = needs(2, ([data, indices], info) => {
  const batch = info.int('batch_dims', 0);
  const k = nth(indices.dims, -1);
  const slice = data.dims.slice(batch + k);
  const rows = sliceRows(hostNumbers(indices), indices.dims, data.dims, batch);
  const size = sizeOf(slice);
  const offsets = new Int32Array(rows.length * size);
  rows.forEach((row, i) => {
    for (let j = 0; j < size; j++) offsets[i * size + j] = row * size + j;
  });
  return [pick(data, offsets, [...indices.dims.slice(0, -1), ...slice])];
});

function gatherNd(ctx: RunContext): TfTensor[] {
  const [data, indices] = [ctx.tensor(0), ctx.tensor(1)];
  const batch = ctx.int('batch_dims', 0);
  const slice = data.shape.slice(batch + nth(indices.shape, -1));
  const size = sizeOf(slice);
  const shape = [...indices.shape.slice(0, -1), ...slice];
  if (size === 0 || sizeOf(shape) === 0) return [tf.zeros(shape, data.dtype)];
  const rows = deviceSliceRows(indices, data.shape, batch);
  const numbers = data.dtype === 'bool' ? tf.cast(data, 'int32') : data;
  const taken = tf.reshape(takeRows(tf.reshape(numbers, [data.size / size, size]), rows), shape);
  return [data.dtype === 'bool' ? tf.cast(taken, 'bool') : taken];
}

function gatherNdType(info: NodeInfo): Inferred[] {
  const [data, indices] = [shapeOf(info, 0), shapeOf(info, 1)];
  const { dtype } = typeOf(info);
  const k = indices?.at(-1);
  if (!data || !indices || typeof k !== 'number') return [{ dtype, shape: null }];
  if (k > data.length) throw new GraphError(`index tuples of ${k} address a tensor of rank ${data.length}`);
  return [{ dtype, shape: [...indices.slice(0, -1), ...data.slice(info.int('batch_dims', 0) + k)] }];
}

const common = { domain: '', layout: ONNX_ORDER, differentiability: firstInput(0), quantization: PASSES } as const;

export const gatherOperators: readonly Operator[] = [
  {
    ...common,
    type: 'Gather',
    since: 1,
    channels: gathering,
    infer: gatherType,
    host: gatherHost,
    device: exactIntegers64(gatherHost, gather),
    weights: [{ input: 0, kind: 'embedding', outputAxis: () => 0 }],
  },
  {
    ...common,
    type: 'GatherElements',
    since: 11,
    infer: (info) => [{ ...typeOf(info), shape: shapeOf(info, 1) }],
    host: gatherElementsHost,
    device: exactIntegers64(gatherElementsHost, gatherElements),
  },
  {
    ...common,
    type: 'GatherND',
    since: 11,
    infer: gatherNdType,
    host: gatherNdHost,
    device: exactIntegers64(gatherNdHost, gatherNd),
  },
];

/** Moving elements is exact on the device for every type that fits its 32 bits. */
function exactIntegers64(host: HostForm, device: NonNullable<Operator['device']>): NonNullable<Operator['device']> {
  const exact = exactIntegers(host, device);
  return (ctx) =>
    ctx.dtype(0) === 'int64' || ctx.dtype(0) === 'uint64' || ctx.dtype(0) === 'uint32' ? exact(ctx) : device(ctx);
}
