/** Picking by value or by condition: TopK, ArgMax, ArgMin, NonZero, Compress, Unique, OneHot. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { elementCount, hostNumbers, isFloat } from '../ir/tensor-data.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import {
  firstInput,
  hostValue,
  intsOfConstants,
  intsOfHost,
  intsOfRun,
  onHost,
  ONNX_ORDER,
  ZERO,
  type HostForm,
  needs,
  required,
} from './define.ts';
import { takeElements } from './device/rows.ts';
import { positive } from './gather.ts';
import { generate, isInteger } from './host/data.ts';
import { countTo, offsetsAlong, pick, pickAlong } from './host/movement.ts';
import { lanes } from './host/reduce.ts';
import type { HostData, HostTensor } from '../ir/host-tensor.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, Value } from './operator.ts';
import { resolveAxis, shapeOf, stridesOf, typeOf } from './shapes.ts';

type Comparable = number | bigint | string;
const elementsOf = (data: HostData): ArrayLike<Comparable> => data;

/** Order of two elements; NaN counts as the greatest, as in numpy. */
function order(a: Comparable, b: Comparable): number {
  if (a === b) return 0;
  if (a !== a) return b !== b ? 0 : 1;
  if (b !== b) return -1;
  return a < b ? -1 : 1;
}

/* TopK */

function topKSize(info: NodeInfo, ints = intsOfConstants(info)): number | null {
  return info.opset < 10 ? info.int('k', 1) : (ints(1)?.[0] ?? null);
}

/** Per lane the positions of the k best; equal elements in order of their positions. */
function bestPositions(
  x: HostTensor,
  axis: number,
  k: number,
  largest: boolean,
): { positions: Int32Array; starts: Int32Array; stride: number } {
  const size = nth(x.dims, axis);
  if (k > size || k < 0) throw new GraphError(`k is ${k}; it must be 0 to ${size}, the size of the axis`);
  const { starts, steps } = lanes(x.dims, [axis]);
  const data = elementsOf(x.data);
  const positions = new Int32Array(starts.length * k);
  starts.forEach((start, lane) => {
    const ranked = countTo(size).sort((a, b) => {
      const relation = order(data[start + steps[a]!]!, data[start + steps[b]!]!);
      return (largest ? -relation : relation) || a - b;
    });
    positions.set(ranked.slice(0, k), lane * k);
  });
  return { positions, starts, stride: nth(stridesOf(x.dims), axis) };
}

/** Where the results lie: lanes in row-major order of the other axes, each with k elements along `axis`. */
function topK(x: HostTensor, info: NodeInfo, k: number): { offsets: Int32Array; indices: HostTensor; dims: number[] } {
  const axis = resolveAxis(info.int('axis', -1), x.dims.length);
  const dims = x.dims.map((size, i) => (i === axis ? k : size));
  const { positions, starts, stride } = bestPositions(x, axis, k, info.int('largest', 1) === 1);
  const target = lanes(dims, [axis]);
  const offsets = new Int32Array(elementCount(dims));
  const indices = new BigInt64Array(offsets.length);
  starts.forEach((start, lane) => {
    for (let i = 0; i < k; i++) {
      const at = target.starts[lane]! + target.steps[i]!;
      const position = positions[lane * k + i]!;
      offsets[at] = start + position * stride;
      indices[at] = BigInt(position);
    }
  });
  return { offsets, indices: { dtype: 'int64', dims, data: indices }, dims };
}

const topKHost: HostForm = (inputs, info) => {
  const { offsets, indices, dims } = topK(required(inputs, 0), info, topKSize(info, intsOfHost(inputs)) ?? 0);
  return [pick(required(inputs, 0), offsets, dims), indices];
};

/** Finds positions along the last axis, then picks the values there, so that gradients reach them. */
function topKDevice(ctx: RunContext): (TfTensor | Value)[] {
  if (isInteger(ctx.dtype(0)) || ctx.int('largest', 1) !== 1) return topKByHost(ctx);
  const x = ctx.tensor(0);
  const axis = resolveAxis(ctx.int('axis', -1), x.rank);
  const k = topKSize(ctx, intsOfRun(ctx)) ?? 0;
  const size = nth(x.shape, axis);
  if (k > size) throw new GraphError(`k is ${k}; it must be 0 to ${size}, the size of the axis`);
  if (k === 0 || x.size === 0) return topKByHost(ctx);
  const last = x.rank - 1;
  const swap = countTo(x.rank).map((i) => (i === axis ? last : i === last ? axis : i));
  const indices = withoutTape(() => {
    const found = tf.topk(axis === last ? x : tf.transpose(x, swap), k, true).indices;
    return axis === last ? found : tf.transpose(found, swap);
  });
  return [pickedAlong(x, indices, axis), { kind: 'device', dtype: 'int64', tensor: indices }];
}

function topKByHost(ctx: RunContext): (TfTensor | Value)[] {
  const x = ctx.host(0);
  const { offsets, indices, dims } = topK(x, ctx, topKSize(ctx, intsOfRun(ctx)) ?? 0);
  if (!isFloat(x.dtype)) return [hostValue(pick(x, offsets, dims)), hostValue(indices)];
  return [takeElements(ctx.tensor(0), offsets, dims), hostValue(indices)];
}

function pickedAlong(x: TfTensor, indices: TfTensor, axis: number): TfTensor {
  const offsets = withoutTape(() => {
    const strides = stridesOf(x.shape);
    const beside = offsetsAlong(
      x.shape,
      indices.shape.map((size, i) => (i === axis ? new Array<number>(size).fill(0) : countTo(size))),
    );
    return tf.add(tf.mul(indices, tf.scalar(nth(strides, axis), 'int32')), tf.tensor(beside, indices.shape, 'int32'));
  });
  return takeElements(x, offsets, indices.shape);
}

function topKType(info: NodeInfo): Inferred[] {
  const shape = shapeOf(info);
  const axis = shape && resolveAxis(info.int('axis', -1), shape.length);
  const result = shape && shape.map((size, i) => (i === axis ? topKSize(info) : size));
  return [
    { dtype: typeOf(info).dtype, shape: result },
    { dtype: 'int64', shape: result },
  ];
}

/* ArgMax, ArgMin */

function argHost(better: (relation: number) => boolean): HostForm {
  return needs(1, ([x], info) => {
    const axis = resolveAxis(info.int('axis', 0), x.dims.length);
    const { starts, steps, kept, dropped } = lanes(x.dims, [axis]);
    const lastWins = info.int('select_last_index', 0) === 1;
    const data = elementsOf(x.data);
    const out = new BigInt64Array(starts.length);
    starts.forEach((start, lane) => {
      let best = 0;
      for (let i = 1; i < steps.length; i++) {
        const relation = order(data[start + steps[i]!]!, data[start + steps[best]!]!);
        if (better(relation) || (lastWins && relation === 0)) best = i;
      }
      out[lane] = BigInt(best);
    });
    return [{ dtype: 'int64', dims: info.int('keepdims', 1) === 1 ? kept : dropped, data: out }];
  });
}

function arg(
  type: string,
  better: (relation: number) => boolean,
  find: (x: TfTensor, axis: number) => TfTensor,
): Operator {
  const host = argHost(better);
  return {
    type,
    domain: '',
    since: 1,
    layout: ONNX_ORDER,
    differentiability: ZERO,
    host,
    infer: (info) => {
      const shape = shapeOf(info);
      const axis = shape && resolveAxis(info.int('axis', 0), shape.length);
      if (!shape) return [{ dtype: 'int64', shape: null }];
      return [
        {
          dtype: 'int64',
          shape:
            info.int('keepdims', 1) === 1
              ? shape.map((size, i) => (i === axis ? 1 : size))
              : shape.filter((_, i) => i !== axis),
        },
      ];
    },
    device: (ctx) => {
      const x = ctx.tensor(0);
      if (x.dtype !== 'float32' || x.size === 0) return onHost(host)(ctx);
      const axis = resolveAxis(ctx.int('axis', 0), x.rank);
      const tensor = withoutTape(() => {
        const found =
          ctx.int('select_last_index', 0) === 1
            ? tf.sub(tf.scalar(nth(x.shape, axis) - 1, 'int32'), find(tf.reverse(x, axis), axis))
            : find(x, axis);
        return ctx.int('keepdims', 1) === 1 ? tf.expandDims(found, axis) : found;
      });
      return [{ kind: 'device', dtype: 'int64', tensor }];
    },
  };
}

/* By condition: results whose size depends on values; always on the host. */

const nonZeroHost: HostForm = needs(1, ([x]) => {
  const data = elementsOf(x.data);
  const found = countTo(data.length).filter((i) => Number(data[i]) !== 0);
  const strides = stridesOf(x.dims);
  const coordinates = x.dims.flatMap((size, axis) => {
    const stride = nth(strides, axis);
    return found.map((offset) => Math.floor(offset / stride) % size);
  });
  return [generate('int64', [x.dims.length, found.length], (i) => coordinates[i]!)];
});

const compressHost: HostForm = needs(2, ([x, condition], info) => {
  const kept = hostNumbers(condition).flatMap((keep, i) => (keep === 0 ? [] : [i]));
  if (info.attribute('axis') === undefined) {
    const size = elementCount(x.dims);
    return [pickAlong({ ...x, dims: [size] }, [kept.filter((i) => i < size)])];
  }
  const axis = resolveAxis(info.int('axis', 0), x.dims.length);
  return [
    pickAlong(
      x,
      x.dims.map((size, i) => (i === axis ? kept.filter((k) => k < size) : countTo(size))),
    ),
  ];
});

/** Differentiable: the kept elements are known once the condition is. */
function compress(ctx: RunContext): (TfTensor | Value)[] {
  if (!isFloat(ctx.dtype(0))) return onHost(compressHost)(ctx);
  const x = ctx.tensor(0);
  const positions: HostTensor = { dtype: 'int32', dims: x.shape, data: Int32Array.from(countTo(x.size)) };
  const kept = nth(compressHost([positions, ctx.host(1)], ctx), 0);
  return [takeElements(x, kept.data as Int32Array, kept.dims)];
}

/**
 * Distinct elements (or slices along `axis`), sorted or in order of appearance, with first positions, inverse and
 * counts.
 */
const uniqueHost: HostForm = needs(1, ([given], info) => {
  const whole = info.attribute('axis') === undefined;
  const x = whole ? { ...given, dims: [elementCount(given.dims)] } : given;
  const axis = whole ? 0 : resolveAxis(info.int('axis', 0), x.dims.length);
  const size = nth(x.dims, axis);
  const others = offsetsAlong(
    x.dims,
    x.dims.map((length, i) => (i === axis ? [0] : countTo(length))),
  );
  const stride = nth(stridesOf(x.dims), axis);
  const data = elementsOf(x.data);
  const relate = (a: number, b: number): number => {
    for (const offset of others) {
      const relation = order(data[offset + a * stride]!, data[offset + b * stride]!);
      if (relation !== 0) return relation;
    }
    return 0;
  };
  const ranked = countTo(size).sort((a, b) => relate(a, b) || a - b);
  const groups: number[][] = [];
  for (const i of ranked) {
    const last = groups.at(-1);
    if (last && relate(nth(last, 0), i) === 0) last.push(i);
    else groups.push([i]);
  }
  if (info.int('sorted', 1) === 0) groups.sort((a, b) => nth(a, 0) - nth(b, 0));
  const inverse = new Array<number>(size);
  groups.forEach((members, group) => {
    for (const i of members) inverse[i] = group;
  });
  const int64 = (values: readonly number[]): HostTensor => generate('int64', [values.length], (i) => values[i]!);
  const values = pickAlong(
    x,
    x.dims.map((length, i) => (i === axis ? groups.map((members) => nth(members, 0)) : countTo(length))),
  );
  return [
    values,
    int64(groups.map((members) => nth(members, 0))),
    int64(inverse),
    int64(groups.map((members) => members.length)),
  ];
});

/* OneHot */

const oneHotAxis = (info: NodeInfo, rank: number): number => resolveAxis(info.int('axis', -1), rank + 1);

const oneHotHost: HostForm = needs(3, ([indices, depth, values], info) => {
  const size = nth(hostNumbers(depth), 0);
  const axis = oneHotAxis(info, indices.dims.length);
  const dims = [...indices.dims.slice(0, axis), size, ...indices.dims.slice(axis)];
  const inner = nth(stridesOf(dims), axis);
  const source = hostNumbers(indices).map((index) => (index < 0 ? index + size : index));
  const offsets = Int32Array.from({ length: elementCount(dims) }, (_, i) => {
    const outer = Math.floor(i / (inner * size));
    return source[outer * inner + (i % inner)] === Math.floor(i / inner) % size ? 1 : 0;
  });
  return [pick(values, offsets, dims)];
});

function oneHot(ctx: RunContext): (TfTensor | Value)[] {
  const size = nth(ctx.hostInts(1), 0);
  const values = ctx.tensor(2);
  if (values.dtype !== 'float32') return onHost(oneHotHost)(ctx);
  const indices = ctx.tensor(0);
  const axis = oneHotAxis(ctx, indices.rank);
  const hot = withoutTape(() => {
    const last = tf.cast(tf.oneHot(positive(indices, size), size), 'float32'); // [..., depth]
    if (axis === indices.rank) return last;
    return tf.transpose(last, [...countTo(axis), indices.rank, ...countTo(indices.rank).slice(axis)]);
  });
  const [off, on] = [tf.reshape(tf.slice(values, [0], [1]), []), tf.reshape(tf.slice(values, [1], [1]), [])];
  return [tf.add(off, tf.mul(hot, tf.sub(on, off)))];
}

function oneHotType(info: NodeInfo): Inferred[] {
  const shape = shapeOf(info);
  const { dtype } = typeOf(info, 2);
  if (!shape) return [{ dtype, shape: null }];
  const axis = oneHotAxis(info, shape.length);
  return [{ dtype, shape: [...shape.slice(0, axis), intsOfConstants(info)(1)?.[0] ?? null, ...shape.slice(axis)] }];
}

const common = { domain: '', layout: ONNX_ORDER } as const;

export const selectionOperators: readonly Operator[] = [
  {
    ...common,
    type: 'TopK',
    since: 1,
    differentiability: firstInput(0),
    infer: topKType,
    host: topKHost,
    device: topKDevice,
  },
  arg(
    'ArgMax',
    (relation) => relation > 0,
    (x, axis) => tf.argMax(x, axis),
  ),
  arg(
    'ArgMin',
    (relation) => relation < 0,
    (x, axis) => tf.argMin(x, axis),
  ),
  {
    ...common,
    type: 'NonZero',
    since: 9,
    differentiability: ZERO,
    infer: (info) => [{ dtype: 'int64', shape: [shapeOf(info)?.length ?? null, null] }],
    host: nonZeroHost,
    device: onHost(nonZeroHost),
  },
  {
    ...common,
    type: 'Compress',
    since: 9,
    differentiability: firstInput(0),
    host: compressHost,
    device: compress,
    infer: (info) => {
      const shape = shapeOf(info);
      if (info.attribute('axis') === undefined) return [{ dtype: typeOf(info).dtype, shape: [null] }];
      const axis = shape && resolveAxis(info.int('axis', 0), shape.length);
      return [{ dtype: typeOf(info).dtype, shape: shape && shape.map((size, i) => (i === axis ? null : size)) }];
    },
  },
  {
    ...common,
    type: 'Unique',
    since: 11,
    differentiability: ZERO,
    host: uniqueHost,
    device: onHost(uniqueHost),
    infer: (info) => {
      const shape = shapeOf(info);
      const axis = shape && resolveAxis(info.int('axis', 0), shape.length);
      const values =
        info.attribute('axis') === undefined ? [null] : shape && shape.map((size, i) => (i === axis ? null : size));
      const list = { dtype: 'int64', shape: [null] } as const;
      return [{ dtype: typeOf(info).dtype, shape: values }, list, list, list];
    },
  },
  {
    ...common,
    type: 'OneHot',
    since: 9,
    differentiability: firstInput(2),
    infer: oneHotType,
    host: oneHotHost,
    device: oneHot,
  },
];
