/**
 * Convolution, pooling and resizing in channels-last form. Data are [n, ...spatial, c]; weights and attributes as ONNX
 * has them.
 */
import { itemOf, tupleOf } from '../../../ir/checked-access.ts';
import { transpose } from '../../keras/layer.ts';
import { hostNumbers } from '../../../ir/tensor-data.ts';
import type { Dim } from '../../../ir/types.ts';
import type { WriteContext, Writers } from './context.ts';
import { boolAttribute, intAttribute, intsAttribute, textAttribute, typeAttribute } from './tf-graph.ts';

interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** [begin..., end...] */
  readonly pads: readonly number[];
  /** TensorFlow computes these pads itself. */
  readonly same: boolean;
}

/** One-dimensional images are written as two-dimensional ones of height 1. */
function windowOf(ctx: WriteContext, kernel: readonly number[]): Window {
  const n = kernel.length;
  const ones = new Array<number>(n).fill(1);
  const strides = ctx.info.ints('strides') ?? ones;
  const dilations = ctx.info.ints('dilations') ?? ones;
  const auto = ctx.info.string('auto_pad', 'NOTSET');
  const extents = kernel.map((size, i) => (size - 1) * (dilations[i] ?? 1) + 1);
  if (auto === 'SAME_LOWER') ctx.refuse('auto_pad SAME_LOWER');
  let pads =
    auto === 'NOTSET'
      ? [...(ctx.info.ints('pads') ?? new Array<number>(2 * n).fill(0))]
      : new Array<number>(2 * n).fill(0);
  if (ctx.info.int('ceil_mode', 0) !== 0) pads = ceilPads(ctx, extents, strides, pads);
  const centred =
    strides.every((stride) => stride === 1) &&
    extents.every((extent, i) => pads[i] === pads[i + n] && 2 * (pads[i] ?? 0) === extent - 1);
  const same = auto === 'SAME_UPPER' || (centred && pads.some((pad) => pad > 0));
  const window = { kernel, strides, dilations, pads, same };
  return n === 1
    ? {
        kernel: [1, ...kernel],
        strides: [1, ...strides],
        dilations: [1, ...dilations],
        pads: [0, pads[0] ?? 0, 0, pads[1] ?? 0],
        same,
      }
    : window;
}

/** Extra padding at the end, so that a last window that hangs over counts. */
function ceilPads(ctx: WriteContext, extents: readonly number[], strides: readonly number[], pads: number[]): number[] {
  const n = extents.length;
  return pads.map((pad, i) => {
    if (i < n) return pad;
    const size = ctx.shape()?.[1 + i - n];
    if (typeof size !== 'number') return ctx.refuse('ceil_mode of an image of unknown size');
    const [stride, begin] = [strides[i - n] ?? 1, pads[i - n] ?? 0];
    const span = size + begin + pad - itemOf(extents, i - n, 'the shape of the kernel');
    const windows = Math.ceil(span / stride);
    // a window that starts in the padding does not count
    const starts = windows * stride < size + begin ? windows : windows - 1;
    return pad + Math.max(starts * stride - span, 0);
  });
}

const nhwc = (spatial: number): Record<string, ReturnType<typeof textAttribute>> => ({
  data_format: textAttribute(spatial === 3 ? 'NDHWC' : 'NHWC'),
});
const full = (values: readonly number[]): ReturnType<typeof intsAttribute> => intsAttribute([1, ...values, 1]);

/** Pads by a constant where TensorFlow would not do it itself. */
function padded(ctx: WriteContext, x: string, { pads, same }: Window, value: number): string {
  if (same || pads.every((pad) => pad === 0)) return x;
  const n = pads.length / 2;
  const table = [0, 0, ...pads.slice(0, n).flatMap((begin, i) => [begin, pads[n + i] ?? 0]), 0, 0];
  const paddings = ctx.tf.constant(
    { dtype: 'int32', dims: [n + 2, 2], data: Int32Array.from(table) },
    `${ctx.label}/pads`,
  );
  return ctx.op('PadV2', [x, paddings, ctx.tf.float(value)]);
}

const padding = ({ same }: Window) => ({ padding: textAttribute(same ? 'SAME' : 'VALID') });

/** Runs `compute` on the input with its one spatial axis lifted to two, where it has one. */
function lifted(ctx: WriteContext, compute: (x: string) => string): string {
  if (ctx.rank() !== 3) return compute(ctx.input(0));
  const y = compute(ctx.op('ExpandDims', [ctx.input(0), ctx.tf.int(1)]));
  return ctx.op('Squeeze', [y], { squeeze_dims: intsAttribute([1]) });
}

/** The weight with its axes in TensorFlow's order; [m, c, k] becomes [m, c, 1, k] first. */
function kernelOf(
  ctx: WriteContext,
  reorder: (dims: readonly number[]) => { readonly dims: readonly number[]; readonly perm: readonly number[] },
): string {
  const host = ctx.constant(1) ?? ctx.refuse('its kernel is computed while the model runs');
  const flat = host.dims.length === 3 ? [...host.dims.slice(0, 2), 1, ...host.dims.slice(2)] : host.dims;
  const { dims, perm } = reorder(flat);
  const moved = transpose({ dims, values: Float32Array.from(hostNumbers(host)) }, perm);
  return ctx.tf.constant(
    { dtype: 'float32', dims: moved.dims, data: moved.values },
    itemOf(ctx.node.inputs, 1, 'the list of inputs'),
  );
}

/** [m, c, ...k] -> [...k, c, m] */
const spatialFirst = (dims: readonly number[]) => ({ dims, perm: [...dims.slice(2).map((_, i) => i + 2), 1, 0] });

function conv(ctx: WriteContext): string {
  const weight = ctx.shape(1) as readonly number[];
  const groups = ctx.info.int('group', 1);
  const window = windowOf(ctx, weight.slice(2));
  const y = lifted(ctx, (x) => product(ctx, { x: padded(ctx, x, window, 0), window, weight, groups }));
  return ctx.has(2) ? ctx.op('BiasAdd', [y, ctx.input(2)], nhwc(2)) : y;
}

interface Product {
  readonly x: string;
  readonly window: Window;
  readonly weight: readonly number[];
  readonly groups: number;
}

function product(ctx: WriteContext, { x, window, weight, groups }: Product): string {
  const spatial = window.kernel.length;
  const attributes = {
    strides: full(window.strides),
    dilations: full(window.dilations),
    ...padding(window),
    ...nhwc(spatial),
  };
  const even =
    window.strides[0] === window.strides[1] &&
    (window.strides[0] === 1 || window.dilations.every((dilation) => dilation === 1));
  if (groups === 1) return ctx.op(spatial === 3 ? 'Conv3D' : 'Conv2D', [x, kernelOf(ctx, spatialFirst)], attributes);
  if (weight[1] === 1 && spatial === 2 && even) {
    // [c multiplier, 1, h, w] -> [h, w, c, multiplier]
    const kernel = kernelOf(ctx, ([m = 0, , ...size]) => ({ dims: [groups, m / groups, ...size], perm: [2, 3, 0, 1] }));
    return ctx.op('DepthwiseConv2dNative', [x, kernel], attributes);
  }
  return grouped(ctx, { x, attributes, spatial, groups });
}

interface Grouping {
  readonly x: string;
  readonly attributes: Parameters<WriteContext['op']>[2];
  readonly spatial: number;
  readonly groups: number;
}

/** Groups as convolutions of their own, between a split and a concatenation of channels. */
function grouped(ctx: WriteContext, { x, attributes, spatial, groups }: Grouping): string {
  const axis = ctx.tf.int(spatial + 1);
  const kernel = kernelOf(ctx, spatialFirst);
  const number = { num_split: intAttribute(groups) };
  const xs = ctx.op('Split', [axis, x], number);
  const kernels = ctx.op('Split', [axis, kernel], number);
  const part = (name: string, i: number): string => (i === 0 ? name : `${name}:${i}`);
  const ys = Array.from({ length: groups }, (_, i) =>
    ctx.op(spatial === 3 ? 'Conv3D' : 'Conv2D', [part(xs, i), part(kernels, i)], attributes),
  );
  return ctx.op('ConcatV2', [...ys, axis], { N: intAttribute(groups) });
}

/**
 * Computes the whole product and cuts the pads off: TensorFlow pads transposed convolutions only by SAME and VALID.
 */
function convTranspose(ctx: WriteContext): string {
  const weight = ctx.shape(1) as readonly number[];
  const outputs = itemOf(weight, 1, 'the shape of the kernel');
  const { kernel, strides, dilations } = windowOf(ctx, weight.slice(2));
  if (kernel.length !== 2 || ctx.info.int('group', 1) !== 1 || dilations.some((dilation) => dilation !== 1))
    return ctx.refuse('groups, dilations or three dimensions of a transposed convolution');
  const cut = transposedCut(ctx, kernel, strides);
  const y = lifted(ctx, (x) => {
    const sizes = wholeSizes(ctx, x, kernel, strides);
    const shape = ctx.op(
      'Pack',
      [batchSize(ctx, x), ...sizes, ctx.tf.int(outputs)],
      { N: intAttribute(4), axis: intAttribute(0) },
      'int32',
    );
    const filter = kernelOf(ctx, (dims) => ({ dims, perm: [2, 3, 1, 0] })); // [in, out, h, w] -> [h, w, out, in]
    return cropped(
      ctx,
      ctx.op('Conv2DBackpropInput', [shape, filter, x], {
        strides: full(strides),
        padding: textAttribute('VALID'),
        ...nhwc(2),
      }),
      cut,
    );
  });
  return ctx.has(2) ? ctx.op('BiasAdd', [y, ctx.input(2)], nhwc(2)) : y;
}

/**
 * Height and width of the whole product, (size - 1) * stride + kernel; of an open axis computed while the model runs.
 */
function wholeSizes(ctx: WriteContext, x: string, kernel: readonly number[], strides: readonly number[]): string[] {
  const dims = ctx.shape()?.slice(1, -1) ?? [];
  const lifts = dims.length === 1 ? [1, ...dims] : dims;
  return kernel.map((k, i) => {
    const [size, stride] = [lifts[i], strides[i] ?? 1];
    if (typeof size === 'number') return ctx.tf.int((size - 1) * stride + k);
    return ctx.op(
      'AddV2',
      [ctx.op('Mul', [axisSize(ctx, x, i + 1), ctx.tf.int(stride)], {}, 'int32'), ctx.tf.int(k - stride)],
      {},
      'int32',
    );
  });
}

/** How much to cut off the whole product, [begin..., end...]; a negative end appends zeros. */
function transposedCut(ctx: WriteContext, kernel: readonly number[], strides: readonly number[]): number[] {
  const n = ctx.rank() - 2;
  const lift = (values: readonly number[], fill: number): number[] => [
    ...Array.from({ length: 2 - n }, () => fill),
    ...values,
  ];
  const zeros = Array.from({ length: n }, () => 0);
  const extra = lift(ctx.info.ints('output_padding') ?? zeros, 0);
  const output = ctx.info.ints('output_shape');
  const auto = ctx.info.string('auto_pad', 'NOTSET');
  if (!output && auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER') {
    const pads = auto === 'NOTSET' ? (ctx.info.ints('pads') ?? [...zeros, ...zeros]) : [...zeros, ...zeros];
    return [...lift(pads.slice(0, n), 0), ...lift(pads.slice(n), 0).map((pad, i) => pad - (extra[i] ?? 0))];
  }
  const sizes = lift((ctx.shape() ?? []).slice(1, -1) as number[], 1);
  const wanted = output && lift(output.slice(-n), 1);
  const totals = kernel.map((k, i) => {
    const [size, stride, more] = [sizes[i], strides[i] ?? 1, extra[i] ?? 0];
    if (!wanted) return Math.max(k - stride + more, 0);
    return typeof size === 'number'
      ? (size - 1) * stride + k + more - itemOf(wanted, i, 'output_shape')
      : ctx.refuse('its output size is fixed while its input has a dynamic size');
  });
  const begin = totals.map((total) =>
    Math.max(auto === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2), 0),
  );
  return [...begin, ...totals.map((total, i) => total - itemOf(begin, i, 'the cut') - (extra[i] ?? 0))];
}

function cropped(ctx: WriteContext, y: string, cut: readonly number[]): string {
  if (cut.every((value) => value === 0)) return y;
  const [top, left, bottom, right] = tupleOf(cut, 4, 'the cut');
  const reach = [bottom, right].map((value) => Math.max(-value, 0));
  const longer = reach.some((value) => value > 0)
    ? ctx.op('PadV2', [
        y,
        ctx.tf.constant(
          {
            dtype: 'int32',
            dims: [4, 2],
            data: Int32Array.from([0, 0, ...reach.flatMap((zeros) => [0, zeros]), 0, 0]),
          },
          `${ctx.label}/pads`,
        ),
        ctx.tf.float(0),
      ])
    : y;
  const ends = [bottom, right].map((value) => Math.min(-value, 0));
  if (top === 0 && left === 0 && ends.every((end) => end === 0)) return longer;
  const open = [0, 3, ...[1, 2].filter((axis) => ends[axis - 1] === 0)].reduce((mask, axis) => mask + 2 ** axis, 0);
  const bounds = [
    [0, top, left, 0],
    [0, ...ends, 0],
    [1, 1, 1, 1],
  ].map((values) => ctx.tf.ints(values));
  return ctx.op('StridedSlice', [longer, ...bounds], { begin_mask: intAttribute(9), end_mask: intAttribute(open) });
}

const batchSize = (ctx: WriteContext, x: string): string => axisSize(ctx, x, 0);

function axisSize(ctx: WriteContext, x: string, axis: number): string {
  const shape = ctx.op('Shape', [x], { out_type: typeAttribute('int32') });
  return ctx.op(
    'StridedSlice',
    [shape, ctx.tf.ints([axis]), ctx.tf.ints([axis + 1]), ctx.tf.ints([1])],
    { shrink_axis_mask: intAttribute(1) },
    'int32',
  );
}

/** The padding of max pools: below every float32 that a network computes. */
const MIN_VALUE = -3.4e38;

function pool(ctx: WriteContext, kind: 'Max' | 'Avg'): string {
  const window = windowOf(ctx, ctx.info.ints('kernel_shape') ?? ctx.refuse('no kernel_shape'));
  if (ctx.node.outputs[1]) ctx.refuse('indices of the maxima');
  if (window.dilations.some((dilation) => dilation !== 1)) ctx.refuse('dilated pooling');
  const spatial = window.kernel.length;
  const op = `${kind}Pool${spatial === 3 ? '3D' : ''}`;
  const attributes = {
    ksize: full(window.kernel),
    strides: full(window.strides),
    ...padding(window),
    ...nhwc(spatial),
  };
  return lifted(ctx, (x) => {
    if (kind === 'Max') return ctx.op(op, [padded(ctx, x, window, MIN_VALUE)], attributes);
    const counted = ctx.info.int('count_include_pad', 0) !== 0;
    // TensorFlow's SAME never counts the padding
    const explicit: Window = counted ? { ...window, same: false } : window;
    const sum = (value: string): string =>
      ctx.op(op, [padded(ctx, value, explicit, 0)], { ...attributes, ...padding(explicit) });
    if (counted || window.same || window.pads.every((pad) => pad === 0)) return sum(x);
    return ctx.op('RealDiv', [sum(x), sum(ctx.op('OnesLike', [x]))]);
  });
}

function globalPool(ctx: WriteContext, op: 'Mean' | 'Max'): string {
  const axes = Array.from({ length: ctx.rank() - 2 }, (_, i) => i + 1);
  return ctx.op(op, [ctx.input(0), ctx.tf.ints(axes)], { keep_dims: boolAttribute(true) });
}

/** TF.js has two of ONNX's modes of resizing, in three coordinate systems. */
function resize(ctx: WriteContext): string {
  const [from, to] = [ctx.shape()?.slice(1, -1), ctx.outputShape()?.slice(1, -1)];
  if (ctx.rank() !== 4 || !from || !to) return ctx.refuse('resizing of anything but two-dimensional images');
  const mode = ctx.info.string('mode', 'nearest');
  const coordinates = ctx.info.string('coordinate_transformation_mode', 'half_pixel');
  const size = fixed(to) ? ctx.tf.ints(to) : ctx.has(3) ? givenSize(ctx) : scaledSize(ctx);
  const whole = isMultiple(to, from);
  if (mode === 'nearest') {
    const floor = coordinates === 'asymmetric' && ctx.info.string('nearest_mode', 'round_prefer_floor') === 'floor';
    const byWholeFactors = whole || scalesOf(ctx)?.every(Number.isInteger) === true;
    if (!floor && !(byWholeFactors && coordinates !== 'align_corners'))
      return ctx.refuse(`nearest neighbours by ${coordinates}`);
    return ctx.op('ResizeNearestNeighbor', [ctx.input(0), size], {
      align_corners: boolAttribute(false),
      half_pixel_centers: boolAttribute(false),
    });
  }
  if (mode !== 'linear' || !['half_pixel', 'pytorch_half_pixel', 'asymmetric', 'align_corners'].includes(coordinates))
    return ctx.refuse(`resizing mode ${mode} by ${coordinates}`);
  const centres = coordinates.endsWith('half_pixel');
  return ctx.op('ResizeBilinear', [ctx.input(0), size], {
    align_corners: boolAttribute(coordinates === 'align_corners'),
    half_pixel_centers: boolAttribute(centres),
  });
}

const isMultiple = (to: readonly Dim[], from: readonly Dim[]): boolean =>
  to.every((dim, i) => Number.isInteger(Number(dim) / Number(from[i] ?? NaN)));
const fixed = (dims: readonly Dim[]): dims is readonly number[] => dims.every((dim) => typeof dim === 'number');

/** Scales of the two spatial axes (in ONNX's order [n, c, h, w]), where the model gives scales. */
function scalesOf(ctx: WriteContext): number[] | null {
  const scales = ctx.has(2) ? ctx.constant(2) : null;
  const values = scales ? hostNumbers(scales) : [];
  return values.length === 4 && values[0] === 1 && values[1] === 1 ? values.slice(2) : null;
}

/** The last two of the sizes [n, c, h, w] that the model computes. */
function givenSize(ctx: WriteContext): string {
  return ctx.op('StridedSlice', [ctx.input(3), ctx.tf.ints([2]), ctx.tf.ints([4]), ctx.tf.ints([1])], {}, 'int32');
}

function scaledSize(ctx: WriteContext): string {
  const scales = scalesOf(ctx);
  if (!scales?.every(Number.isInteger)) return ctx.refuse('its output size is computed while the model runs');
  const shape = ctx.op('Shape', [ctx.input(0)]);
  const size = ctx.op('StridedSlice', [shape, ctx.tf.ints([1]), ctx.tf.ints([3]), ctx.tf.ints([1])], {}, 'int32');
  return ctx.op('Mul', [size, ctx.tf.ints(scales)], {}, 'int32');
}

export const spatial: Writers = {
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: (ctx) => pool(ctx, 'Max'),
  AveragePool: (ctx) => pool(ctx, 'Avg'),
  GlobalAveragePool: (ctx) => globalPool(ctx, 'Mean'),
  GlobalMaxPool: (ctx) => globalPool(ctx, 'Max'),
  Resize: resize,
  // ONNX's other mode (CRD) orders the channels as TensorFlow does not.
  DepthToSpace: (ctx) =>
    ctx.info.string('mode', 'DCR') === 'DCR'
      ? ctx.op('DepthToSpace', [ctx.input(0)], { block_size: intAttribute(ctx.info.int('blocksize', 1)), ...nhwc(2) })
      : ctx.refuse('DepthToSpace in mode CRD'),
  SpaceToDepth: (ctx) => ctx.refuse('TF.js has no SpaceToDepth'),
};
