/** Putting elements by indices: Scatter, ScatterElements, ScatterND, with reductions. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { allocate, hostNumbers } from '../ir/tensor-data.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { firstInput, onHost, ONNX_ORDER, type DeviceForm, type HostForm, needs } from './define.ts';
import { scatterRows, type Reduction } from './device/scatter.ts';
import { offsetsBeside, resolvedIndices, sliceRows } from './gather.ts';
import { rounder } from './host/data.ts';
import type { HostData, HostTensor } from '../ir/host-tensor.ts';
import type { NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { resolveAxis, sameType, sizeOf, stridesOf } from './shapes.ts';

type Combine = { number(old: number, update: number): number; big(old: bigint, update: bigint): bigint };

const COMBINE: Readonly<Record<string, Combine>> = {
  add: { number: (a, b) => a + b, big: (a, b) => a + b },
  mul: { number: (a, b) => a * b, big: (a, b) => a * b },
  max: { number: Math.max, big: (a, b) => (a > b ? a : b) },
  min: { number: Math.min, big: (a, b) => (a < b ? a : b) },
};

function combination(info: NodeInfo): Combine | null {
  const name = info.string('reduction', 'none');
  if (name === 'none') return null;
  const combine = COMBINE[name];
  if (!combine) throw new GraphError(`reduction "${name}" is none of none, add, mul, max, min`);
  return combine;
}

/** A copy of `data` with each update put, or combined, at its offset, in order. */
function put(data: HostTensor, offsets: ArrayLike<number>, updates: HostData, combine: Combine | null): HostTensor {
  const out = copyOf(data);
  const round = rounder(data.dtype) ?? ((value: number) => value);
  for (let i = 0; i < offsets.length; i++) {
    const at = offsets[i]!;
    const update = updates[i]!;
    if (!combine) out[at] = update;
    else if (typeof update === 'bigint') out[at] = combine.big(out[at] as bigint, update);
    else if (typeof update === 'number') out[at] = round(combine.number(out[at] as number, update));
    else throw new GraphError('strings cannot be combined');
  }
  return { ...data, data: out as unknown as HostData };
}

function copyOf({ dtype, data }: HostTensor): { [index: number]: string | number | bigint } {
  if (dtype === 'string') return [...(data as readonly string[])];
  const copy = allocate(dtype, data.length);
  (copy as Float64Array).set(data as Float64Array);
  return copy;
}

const scatterElementsHost: HostForm = needs(3, ([data, indices, updates], info) => {
  const axis = resolveAxis(info.int('axis', 0), data.dims.length);
  return [put(data, elementTargets(data.dims, indices, axis), updates.data, combination(info))];
});

/** Offset in a tensor of shape `dims` of each element of `indices`. */
function elementTargets(dims: readonly number[], indices: HostTensor, axis: number): number[] {
  const stride = nth(stridesOf(dims), axis);
  const beside = offsetsBeside(dims, indices.dims, axis);
  return resolvedIndices(indices, nth(dims, axis)).map((index, i) => beside[i]! + index * stride);
}

const scatterNdHost: HostForm = needs(3, ([data, indices, updates], info) => {
  const size = sizeOf(data.dims.slice(nth(indices.dims, -1)));
  const rows = sliceRows(hostNumbers(indices), indices.dims, data.dims, 0);
  const offsets = new Int32Array(rows.length * size);
  rows.forEach((row, i) => {
    for (let j = 0; j < size; j++) offsets[i * size + j] = row * size + j;
  });
  return [put(data, offsets, updates.data, combination(info))];
});

/** The device form, for floats; the host computes integers exactly. */
function onDevice(host: HostForm, scatter: (ctx: RunContext, reduction: Reduction) => TfTensor): DeviceForm {
  const exact = onHost(host);
  return (ctx) => {
    combination(ctx);
    return ctx.tensor(0).dtype === 'float32'
      ? [scatter(ctx, ctx.string('reduction', 'none') as Reduction)]
      : exact(ctx);
  };
}

function scatterElements(ctx: RunContext, reduction: Reduction): TfTensor {
  const [data, updates] = [ctx.tensor(0), ctx.tensor(2)];
  const axis = resolveAxis(ctx.int('axis', 0), data.rank);
  const rows = elementTargets(data.shape, ctx.host(1), axis);
  return tf.reshape(
    scatterRows(tf.reshape(data, [data.size, 1]), rows, tf.reshape(updates, [updates.size, 1]), reduction),
    data.shape,
  );
}

function scatterNd(ctx: RunContext, reduction: Reduction): TfTensor {
  const [data, indices, updates] = [ctx.tensor(0), ctx.host(1), ctx.tensor(2)];
  const size = sizeOf(data.shape.slice(nth(indices.dims, -1)));
  if (size === 0 || updates.size === 0) return tf.clone(data);
  const rows = sliceRows(hostNumbers(indices), indices.dims, data.shape, 0);
  return tf.reshape(
    scatterRows(tf.reshape(data, [data.size / size, size]), rows, tf.reshape(updates, [rows.length, size]), reduction),
    data.shape,
  );
}

const common = { domain: '', layout: ONNX_ORDER, differentiability: firstInput(0, 2), infer: sameType() } as const;

export const scatterOperators: readonly Operator[] = [
  {
    ...common,
    type: 'Scatter',
    since: 9,
    until: 10,
    host: scatterElementsHost,
    device: onDevice(scatterElementsHost, scatterElements),
  },
  {
    ...common,
    type: 'ScatterElements',
    since: 11,
    host: scatterElementsHost,
    device: onDevice(scatterElementsHost, scatterElements),
  },
  { ...common, type: 'ScatterND', since: 11, host: scatterNdHost, device: onDevice(scatterNdHost, scatterNd) },
];
