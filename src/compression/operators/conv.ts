/** Convolution and transposed convolution, of any number of spatial axes, grouped and dilated. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import type { Dim } from '../ir/types.ts';
import * as nn from '../tensor/nn.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { convolution, transposedConvolution } from './channels/conv.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, WeightRole } from './operator.ts';
import { isConcrete, requireRank, shapeOf, sizeOf, typeOf, unifyDim, type Shape } from './shapes.ts';
import { extent, padsOf, split, windowCounts, windowOf, type Window } from './window.ts';

/** [out, in, ...k] and [in, out, ...k] alike -> [...k, second, first]. */
export function kernelLayout(rank: number): number[] {
  return [...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1, 0];
}

const kernel = (outputAxis: number): WeightRole => ({
  input: 1,
  kind: 'kernel',
  layout: (info) => kernelLayout(shapeOf(info, 1)?.length ?? 4),
  outputAxis: () => outputAxis,
});
const bias: WeightRole = { input: 2, kind: 'bias', outputAxis: () => 0 };

/** Spatial sizes of the kernel: the attribute, else the weight's shape. */
function kernelSizes(info: NodeInfo, weight = 1): readonly number[] | null {
  const given = info.ints('kernel_shape');
  const shape = shapeOf(info, weight);
  const spatial = shape?.slice(2);
  if (given && spatial && isConcrete(spatial) && given.join() !== spatial.join())
    throw new GraphError(`kernel_shape [${given.join(', ')}] is not that of the weight [${shape!.join(', ')}]`);
  return given ?? (isConcrete(spatial) ? spatial : null);
}

function checkRanks(info: NodeInfo, weight = 1): void {
  const x = shapeOf(info, 0);
  const w = shapeOf(info, weight);
  requireRank(x, 3, 'the input');
  requireRank(w, 3, 'the weight');
  if (x && w && x.length !== w.length)
    throw new GraphError(`input of rank ${x.length} and weight of rank ${w.length} do not fit`);
}

/** Shape of a convolution's result, whose kernel is input `weight`. */
export function convShape(info: NodeInfo, weight = 1): Dim[] | null {
  checkRanks(info, weight);
  const shape = shapeOf(info, 0);
  const w = shapeOf(info, weight);
  const groups = info.int('group', 1);
  if (shape && w && typeof shape[1] === 'number' && typeof w[1] === 'number' && shape[1] !== w[1] * groups) {
    throw new GraphError(`the input has ${shape[1]} channels, the weight takes ${w[1] * groups}`);
  }
  if (w && typeof w[0] === 'number' && w[0] % groups !== 0)
    throw new GraphError(`${w[0]} output channels cannot be split into ${groups} groups`);
  const rank = shape?.length ?? w?.length;
  if (rank === undefined) return null;
  const sizes = kernelSizes(info, weight);
  const spatial =
    shape && sizes ? windowCounts(info, windowOf(info, sizes), shape.slice(2)) : new Array<Dim>(rank - 2).fill(null);
  return [shape?.[0] ?? null, w?.[0] ?? null, ...spatial];
}

/** x [n, ...spatial, cin] -> [n, ...spatial', cout]. */
function runConv(ctx: RunContext): TfTensor[] {
  const dims = ctx.dims(1);
  const window = windowOf(ctx, dims.slice(2));
  const pads = padsOf(ctx, window, ctx.dims(0).slice(2));
  const weight = ctx.weight(1, kernelLayout(dims.length));
  const y = nn.conv(ctx.tensor(0), weight, {
    strides: window.strides,
    dilations: window.dilations,
    pads,
    groups: ctx.int('group', 1),
  });
  return [ctx.has(2) ? nn.biasAdd(y, ctx.tensor(2)) : y];
}

interface TransposePlan {
  readonly pads: number[];
  readonly outputPadding: number[];
  readonly sizes: number[];
}

/**
 * Output size = stride * (size - 1) + output_padding + extent - pads; `output_shape` determines the pads instead; where
 * no pads reach it, the output grows at its end.
 */
function planTranspose(info: NodeInfo, window: Window, sizes: readonly number[]): TransposePlan {
  const rank = sizes.length;
  const outputPadding = [...(info.ints('output_padding') ?? new Array<number>(rank).fill(0))];
  const natural = sizes.map(
    (size, i) => nth(window.strides, i) * (size - 1) + nth(outputPadding, i) + extent(window, i),
  );
  const mode = info.string('auto_pad', 'NOTSET');
  const same = mode.startsWith('SAME');
  const wanted =
    info.ints('output_shape')?.slice(-rank) ?? (same ? sizes.map((size, i) => size * nth(window.strides, i)) : null);
  if (!wanted) {
    const pads = padsOf(info, window, sizes);
    return { pads, outputPadding, sizes: natural.map((size, i) => size - nth(pads, i) - nth(pads, i + rank)) };
  }
  const totals = natural.map((size, i) => size - nth(wanted, i));
  totals.forEach((total, i) => {
    if (total < 0) outputPadding[i]! -= total;
  });
  return {
    pads: split(
      totals.map((total) => Math.max(0, total)),
      mode === 'SAME_UPPER',
    ),
    outputPadding,
    sizes: [...wanted],
  };
}

function inferConvTranspose(info: NodeInfo): Inferred[] {
  checkRanks(info);
  const { dtype, shape } = typeOf(info, 0);
  const w = shapeOf(info, 1);
  const rank = shape?.length ?? w?.length;
  if (rank === undefined) return [{ dtype, shape: null }];
  if (shape && w) unifyDim(nth(shape, 1), nth(w, 0), 'channels of input and weight');
  const channels = typeof w?.[1] === 'number' ? w[1] * info.int('group', 1) : null;
  return [{ dtype, shape: [shape?.[0] ?? null, channels, ...transposeSizes(info, shape, rank)] }];
}

function transposeSizes(info: NodeInfo, shape: Shape, rank: number): Dim[] {
  const sizes = kernelSizes(info);
  const open = (info.ints('output_shape')?.slice(2 - rank) as Dim[] | undefined) ?? new Array<Dim>(rank - 2).fill(null);
  if (!shape || !sizes) return open;
  const window = windowOf(info, sizes);
  return shape.slice(2).map((size, i) => {
    if (typeof size !== 'number') return nth(open, i);
    const known = shape.slice(2).map((other) => (typeof other === 'number' ? other : 1));
    return nth(planTranspose(info, window, known).sizes, i);
  });
}

function runConvTranspose(ctx: RunContext): TfTensor[] {
  const dims = ctx.dims(1);
  const window = windowOf(ctx, dims.slice(2));
  const { pads, outputPadding } = planTranspose(ctx, window, ctx.dims(0).slice(2));
  const weight = ctx.weight(1, kernelLayout(dims.length));
  const y = nn.convTranspose(ctx.tensor(0), weight, {
    strides: window.strides,
    dilations: window.dilations,
    pads,
    outputPadding,
    groups: ctx.int('group', 1),
  });
  return [ctx.has(2) ? nn.biasAdd(y, ctx.tensor(2)) : y];
}

/**
 * Multiply-accumulates: one product per weight (input `weight`) and position, of the output (convolution) or of the
 * input (transposed).
 */
export function convMacs(info: NodeInfo, positions: Shape | undefined, weight = 1): number {
  const w = shapeOf(info, weight);
  return isConcrete(w) && isConcrete(positions) ? sizeOf(w) * nth(positions, 0) * sizeOf(positions.slice(2)) : 0;
}

const imageIn = { kind: 'channels-last', inputs: [0], outputs: [0] } as const;
const quantization = { kind: 'compute', activations: [0], kernel: 1, bias: 2 } as const;

export const convOperators: readonly Operator[] = [
  {
    type: 'Conv',
    domain: '',
    since: 1,
    layout: imageIn,
    differentiability: { kind: 'full' },
    infer: (info) => [{ dtype: typeOf(info).dtype, shape: convShape(info) }],
    device: runConv,
    weights: [kernel(0), bias],
    macs: (info, outputs) => convMacs(info, outputs[0]?.shape),
    channels: convolution(),
    quantization,
  },
  {
    type: 'ConvTranspose',
    domain: '',
    since: 1,
    layout: imageIn,
    differentiability: { kind: 'full' },
    infer: inferConvTranspose,
    device: runConvTranspose,
    weights: [kernel(1), bias],
    macs: (info) => convMacs(info, shapeOf(info, 0)),
    channels: transposedConvolution,
    quantization,
  },
];
