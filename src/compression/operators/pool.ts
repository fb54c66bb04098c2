/** Pooling: maximum (with indices), average, Lp norm; windowed and global. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import type { Dim } from '../ir/types.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { overPositions } from './channels/normalization.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { requireRank, sizeOf, stridesOf, typeOf } from './shapes.ts';
import { rootOf } from './root.ts';
import { countAlong, extent, padsOf, windowCounts, windowOf, type Window } from './window.ts';

interface Pooling extends Window {
  /** Begins, then ends, in ONNX's sense: what `count_include_pad` counts. */
  readonly pads: readonly number[];
  /** What `ceil_mode` adds at the end of each axis: never counted. */
  readonly extra: readonly number[];
}

function kernelOf(info: NodeInfo): readonly number[] {
  const kernel = info.ints('kernel_shape');
  if (!kernel || kernel.length === 0) throw new GraphError('kernel_shape is missing');
  return kernel;
}

export function inferPool(info: NodeInfo): [Inferred, Inferred] {
  const { dtype, shape } = typeOf(info);
  requireRank(shape, 3, 'the input');
  const window = windowOf(info, kernelOf(info));
  if (shape && shape.length !== window.kernel.length + 2)
    throw new GraphError(`an input of rank ${shape.length} cannot be pooled over ${window.kernel.length} axes`);
  const spatial = shape
    ? windowCounts(info, window, shape.slice(2), info.int('ceil_mode', 0) === 1)
    : window.kernel.map((): Dim => null);
  const output = { dtype, shape: [shape?.[0] ?? null, shape?.[1] ?? null, ...spatial] };
  return [output, { dtype: 'int64', shape: output.shape }];
}

function poolingOf(ctx: RunContext): Pooling {
  const window = windowOf(ctx, kernelOf(ctx));
  const sizes = ctx.dims(0).slice(2);
  const pads = padsOf(ctx, window, sizes);
  const rank = sizes.length;
  const ceil = ctx.int('ceil_mode', 0) === 1 && !ctx.string('auto_pad', 'NOTSET').startsWith('SAME');
  const extra = sizes.map((size, i) => {
    const needed = (countAlong(size, { window, pads, axis: i, ceil }) - 1) * nth(window.strides, i) + extent(window, i);
    return Math.max(0, needed - size - nth(pads, i) - nth(pads, i + rank));
  });
  return { ...window, pads, extra };
}

function allPads({ pads, extra, kernel }: Pooling): number[] {
  return pads.map((pad, i) => (i < kernel.length ? pad : pad + nth(extra, i - kernel.length)));
}

/** x [n, ..., c] with pads on the spatial axes. */
export function padSpatial(x: TfTensor, pads: readonly number[], value = 0): TfTensor {
  if (pads.every((pad) => pad === 0)) return x;
  const rank = pads.length / 2;
  const spatial = Array.from({ length: rank }, (_, i): [number, number] => [pads[i]!, pads[i + rank]!]);
  return tf.pad(x, [[0, 0], ...spatial, [0, 0]], value);
}

function runMaxPool(ctx: RunContext): TfTensor[] {
  const pooling = poolingOf(ctx);
  const { kernel, strides, dilations } = pooling;
  const x = ctx.tensor(0);
  const options = { kernel, strides, dilations, pads: allPads(pooling) };
  const y =
    x.dtype === 'float32' ? nn.maxPool(x, options) : tf.cast(nn.maxPool(tf.cast(x, 'float32'), options), x.dtype);
  return ctx.node.outputs.length > 1 && ctx.node.outputs[1] !== ''
    ? [y, maxIndices(ctx, tf.cast(x, 'float32'), pooling)]
    : [y];
}

/**
 * Flat index of each window's first maximum in the whole ONNX-ordered input [n, c, ...spatial]; column-major where
 * `storage_order` is 1.
 */
function maxIndices(ctx: RunContext, x: TfTensor, pooling: Pooling): TfTensor {
  const dims = ctx.dims(0);
  const spatial = dims.slice(2);
  const offsets = ctx.int('storage_order', 0) === 1 ? stridesOf([...spatial].reverse()).reverse() : stridesOf(spatial);
  const padded = padSpatial(x, allPads(pooling), -Infinity);
  const views = windowViews(padded, pooling);
  const best = tf.argMax(tf.stack(views.map(({ view }) => view)), 0);
  const counts = nth(views, 0).view.shape.slice(1, -1);
  const position = tf.gather(
    tf.tensor1d(
      views.map(({ at }) => at.reduce((sum, p, i) => sum + p * nth(pooling.dilations, i) * offsets[i]!, 0)),
      'int32',
    ),
    best,
  );
  const origin = counts.reduce<TfTensor>(
    (sum, count, i) => {
      const along = tf.tensor(
        Int32Array.from({ length: count }, (_, j) => (j * pooling.strides[i]! - pooling.pads[i]!) * offsets[i]!),
        counts.map((_, j) => (j === i ? count : 1)),
        'int32',
      );
      return tf.add(sum, along);
    },
    tf.zeros(
      counts.map(() => 1),
      'int32',
    ),
  );
  const size = sizeOf(spatial);
  const batch = tf.mul(
    tf.reshape(tf.range(0, nth(dims, 0), 1, 'int32'), [-1, ...counts.map(() => 1), 1]),
    nth(dims, 1) * size,
  );
  const channel = tf.mul(tf.range(0, nth(dims, 1), 1, 'int32'), size);
  return tf.add(tf.add(tf.add(position, tf.expandDims(origin, -1)), batch), channel);
}

/** The strided view of the padded input [n, ..., c] at every position of the window, first position first. */
export function windowViews(
  padded: TfTensor,
  { kernel, strides, dilations }: Window,
): { at: number[]; view: TfTensor }[] {
  const window = { kernel, strides, dilations };
  const rank = kernel.length;
  const counts = kernel.map((_, i) => Math.floor((nth(padded.shape, i + 1) - extent(window, i)) / nth(strides, i)) + 1);
  let positions: number[][] = [[]];
  for (const size of kernel) positions = positions.flatMap((p) => Array.from({ length: size }, (_, i) => [...p, i]));
  return positions.map((at) => {
    const begin = [0, ...at.map((p, i) => p * nth(dilations, i)), 0];
    const end = [
      nth(padded.shape, 0),
      ...counts.map((count, i) => nth(begin, i + 1) + (count - 1) * nth(strides, i) + 1),
      nth(padded.shape, rank + 1),
    ];
    return { at, view: tf.stridedSlice(padded, begin, end, [1, ...strides, 1]) };
  });
}

/** x [n, ..., c], pooled as the node's attributes say. */
export function averagePool(ctx: RunContext, x: TfTensor): TfTensor {
  const pooling = poolingOf(ctx);
  const { kernel, strides, dilations, extra } = pooling;
  if (ctx.int('count_include_pad', 0) !== 1)
    return nn.averagePool(x, { kernel, strides, dilations, pads: allPads(pooling) });
  return nn.averagePool(padSpatial(x, pooling.pads), {
    kernel,
    strides,
    dilations,
    pads: [...extra.map(() => 0), ...extra],
  });
}

function runLpPool(ctx: RunContext): TfTensor[] {
  const pooling = poolingOf(ctx);
  const { kernel, strides, dilations } = pooling;
  const p = ctx.int('p', 2);
  const powers = powerOf(padSpatial(ctx.tensor(0), allPads(pooling)), p);
  const sum = tf.mul(nn.averagePool(powers, { kernel, strides, dilations }), sizeOf(kernel));
  return [rootOf(sum, p)];
}

function powerOf(x: TfTensor, p: number): TfTensor {
  if (p === 1) return tf.abs(x);
  return p % 2 === 0 ? tf.pow(x, p) : tf.pow(tf.abs(x), p);
}

export function inferGlobal(info: NodeInfo): [Inferred] {
  const { dtype, shape } = typeOf(info);
  requireRank(shape, 2, 'the input');
  return [{ dtype, shape: shape && shape.map((dim, i) => (i < 2 ? dim : 1)) }];
}

/** Over all spatial axes of x [n, ..., c], which stay with size 1. */
function overSpatial(
  compute: (x: TfTensor, axes: number[], ctx: RunContext) => TfTensor,
): (ctx: RunContext) => TfTensor[] {
  return (ctx) => {
    const x = ctx.tensor(0);
    const axes = x.shape.slice(2).map((_, i) => i + 1);
    return [axes.length === 0 ? x : compute(x, axes, ctx)];
  };
}

const image = { kind: 'channels-last', inputs: [0], outputs: [0] } as const;
const average = { kind: 'compute', activations: [0], kernel: null, bias: null } as const;
const common = {
  domain: '',
  since: 1,
  layout: image,
  differentiability: { kind: 'full' },
  channels: overPositions,
} as const;

export const poolOperators: readonly Operator[] = [
  {
    ...common,
    type: 'MaxPool',
    layout: { ...image, outputs: [0, 1] },
    infer: inferPool,
    device: runMaxPool,
    quantization: { kind: 'passes-through' },
  },
  {
    ...common,
    type: 'AveragePool',
    infer: inferPool,
    device: (ctx) => [averagePool(ctx, ctx.tensor(0))],
    quantization: average,
  },
  { ...common, type: 'LpPool', infer: inferPool, device: runLpPool },
  {
    ...common,
    type: 'GlobalAveragePool',
    infer: inferGlobal,
    device: overSpatial((x, axes) => tf.mean(x, axes, true)),
    quantization: average,
  },
  { ...common, type: 'GlobalMaxPool', infer: inferGlobal, device: overSpatial((x, axes) => tf.max(x, axes, true)) },
  {
    ...common,
    type: 'GlobalLpPool',
    infer: inferGlobal,
    device: overSpatial((x, axes, ctx) => rootOf(tf.sum(powerOf(x, ctx.int('p', 2)), axes, true), ctx.int('p', 2))),
  },
];
