/** Taking apart and putting together values that may lie on the host or on the device. */
import { nth } from '../ir/checked-access.ts';
import { allocate } from '../ir/tensor-data.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import type { HostData, HostTensor } from '../ir/host-tensor.ts';
import type { Value } from './operator.ts';
import { sizeOf } from './shapes.ts';
import { upload } from './transfer.ts';

export function dimsOf(value: Value): readonly number[] {
  return value.kind === 'host' ? value.value.dims : value.tensor.shape;
}

/** Element `index` along an axis, which is dropped. */
export function sliceValue(value: Value, axis: number, index: number): Value {
  if (value.kind === 'host') return { kind: 'host', value: sliceHost(value.value, axis, index) };
  const begin = value.tensor.shape.map((_, i) => (i === axis ? index : 0));
  const size = value.tensor.shape.map((dim, i) => (i === axis ? 1 : dim));
  return { ...value, tensor: tf.squeeze(tf.slice(value.tensor, begin, size), [axis]) };
}

/** Values of one shape along a new axis. On the device as soon as one of them is. */
export function stackValues(values: readonly Value[], axis: number): Value {
  const hosts = values.flatMap((value) => (value.kind === 'host' ? [value.value] : []));
  if (hosts.length === values.length) return { kind: 'host', value: stackHosts(hosts, axis) };
  const dtype = nth(
    values.map((value) => (value.kind === 'host' ? value.value.dtype : value.dtype)),
    0,
  );
  return { kind: 'device', dtype, tensor: tf.stack(values.map(toDevice), axis) };
}

export function toDevice(value: Value): TfTensor {
  return value.kind === 'host' ? upload(value.value) : value.tensor;
}

function sliceHost({ dtype, dims, data }: HostTensor, axis: number, index: number): HostTensor {
  const [outer, inner] = [sizeOf(dims.slice(0, axis)), sizeOf(dims.slice(axis + 1))];
  const indices = Array.from(
    { length: outer * inner },
    (_, i) => (Math.floor(i / inner) * dims[axis]! + index) * inner + (i % inner),
  );
  return { dtype, dims: dims.filter((_, i) => i !== axis), data: pick(data, indices, dtype) };
}

function stackHosts(hosts: readonly HostTensor[], axis: number): HostTensor {
  const { dims, dtype } = nth(hosts, 0);
  const [outer, inner] = [sizeOf(dims.slice(0, axis)), sizeOf(dims.slice(axis))];
  const all = hosts.flatMap(({ data }) => Array.from(data as ArrayLike<number | bigint | string>));
  const indices: number[] = [];
  for (let o = 0; o < outer; o++)
    for (let h = 0; h < hosts.length; h++)
      for (let i = 0; i < inner; i++) indices.push(h * outer * inner + o * inner + i);
  return {
    dtype,
    dims: [...dims.slice(0, axis), hosts.length, ...dims.slice(axis)],
    data: pick(all as unknown as HostData, indices, dtype),
  };
}

function pick(source: HostData, indices: readonly number[], dtype: HostTensor['dtype']): HostData {
  if (dtype === 'string') return indices.map((i) => source[i] as string);
  const target = allocate(dtype, indices.length);
  indices.forEach((from, i) => {
    target[i] = source[from] as never;
  });
  return target;
}
