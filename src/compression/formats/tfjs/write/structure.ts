/** Matrix products, reductions and operators that move elements, as TensorFlow operators. */
import { tupleOf } from '../../../ir/checked-access.ts';
import { toHost } from '../../../ir/tensor-data.ts';
import type { WriteContext, Writer, Writers } from './context.ts';
import { boolAttribute, intAttribute, intsAttribute, tfType, typeAttribute } from './tf-graph.ts';
import { einsum, gemm, matMul } from './products.ts';
import { gather, pad, shapePart, slice, split } from './slices.ts';
import { transpose } from './transpose.ts';

/** Along the last axis, where TensorFlow has it; up to opset 12 over all axes from `axis` on. */
function softmax(op: 'Softmax' | 'LogSoftmax'): Writer {
  return (ctx) => {
    const rank = ctx.rank();
    const axis = ctx.axis(ctx.info.int('axis', ctx.info.opset >= 13 ? -1 : 1));
    if (axis === rank - 1) return ctx.op(op, [ctx.input(0)]);
    if (ctx.info.opset < 13) return ctx.refuse('a softmax over several axes');
    const perm = Array.from({ length: rank }, (_, i) => (i === axis ? rank - 1 : i === rank - 1 ? axis : i));
    return transpose(ctx, ctx.op(op, [transpose(ctx, ctx.input(0), perm)]), perm);
  };
}

function reduction(op: string, before: string | null = null, after: string | null = null): Writer {
  return (ctx) => {
    const axes =
      ctx.axes() ?? (ctx.info.int('noop_with_empty_axes', 0) ? [] : Array.from({ length: ctx.rank() }, (_, i) => i));
    if (axes.length === 0) return ctx.op('Identity', [ctx.input(0)]);
    const x = before === null ? ctx.input(0) : ctx.op(before, [ctx.input(0)]);
    const y = ctx.op(op, [x, ctx.tf.ints(axes)], { keep_dims: boolAttribute(ctx.info.int('keepdims', 1) !== 0) });
    return after === null ? y : ctx.op(after, [y]);
  };
}

function argument(op: 'ArgMax' | 'ArgMin'): Writer {
  return (ctx) => {
    const axis = ctx.axis(ctx.info.int('axis', 0));
    if (ctx.info.int('select_last_index', 0) !== 0) return ctx.refuse('select_last_index');
    const index = ctx.op(op, [ctx.input(0), ctx.tf.int(axis)], { output_type: typeAttribute('int32') });
    return ctx.info.int('keepdims', 1) === 0 ? index : ctx.op('ExpandDims', [index, ctx.tf.int(axis)], {}, 'int32');
  };
}

/**
 * Zeros in the target copy a dimension, which TensorFlow's Reshape does not: fixed ones are filled in, one open one
 * becomes -1.
 */
function reshape(ctx: WriteContext): string {
  const wanted = ctx.info.partial(1) ?? [null];
  if (!wanted.every((dim) => typeof dim === 'number') && !wanted.includes(0))
    return ctx.op('Reshape', ctx.inputs, { Tshape: typeAttribute('int32') });
  const copies = ctx.info.int('allowzero', 0) === 0;
  const filled = wanted.map((dim, i) => (dim === 0 && copies ? (ctx.shape()?.[i] ?? null) : dim));
  const open = filled.filter((dim) => typeof dim !== 'number').length;
  if (open === 0) return toShape(ctx, filled as number[]);
  const output = ctx.outputShape();
  if (open === 1 && !filled.includes(-1))
    return toShape(
      ctx,
      filled.map((dim) => (typeof dim === 'number' ? dim : -1)),
    );
  const known = filled.map((dim, i) => (typeof dim !== 'number' || dim === -1 ? (output?.[i] ?? null) : dim));
  if (known.filter((dim) => typeof dim !== 'number').length === 1)
    return toShape(
      ctx,
      known.map((dim) => (typeof dim === 'number' ? dim : -1)),
    );
  return ctx.refuse('a shape with several dynamic dimensions');
}

function toShape(ctx: WriteContext, shape: readonly number[]): string {
  return ctx.op('Reshape', [ctx.input(0), ctx.tf.ints(shape)], { Tshape: typeAttribute('int32') });
}

/** [product of the axes before, product of those from `axis` on] */
function flatten(ctx: WriteContext): string {
  const axis = ctx.axis(ctx.info.int('axis', 1));
  const shape = ctx.shape();
  const product = (dims: readonly unknown[] | undefined): number =>
    dims?.every((dim) => typeof dim === 'number') ? (dims as number[]).reduce((a, b) => a * b, 1) : -1;
  const sizes = [product(shape?.slice(0, axis)), product(shape?.slice(axis))];
  return sizes[0] === -1 && sizes[1] === -1
    ? ctx.refuse('flattening with dynamic dimensions on both sides')
    : toShape(ctx, sizes);
}

function unsqueeze(ctx: WriteContext): string {
  const rank = ctx.rank() + (ctx.axes(0)?.length ?? 0);
  const axes = ctx.axes(rank) ?? ctx.refuse('no axes');
  return axes.sort((a, b) => a - b).reduce((x, axis) => ctx.op('ExpandDims', [x, ctx.tf.int(axis)]), ctx.input(0));
}

function squeeze(ctx: WriteContext): string {
  const axes =
    ctx.axes() ??
    (ctx.shape() ?? ctx.refuse('the rank of its input is not known')).flatMap((dim, i) => (dim === 1 ? [i] : []));
  return axes.length === 0
    ? ctx.op('Identity', [ctx.input(0)])
    : ctx.op('Squeeze', [ctx.input(0)], { squeeze_dims: intsAttribute(axes) });
}

/** (x - mean) / sqrt(variance + epsilon) over `axes`, all of them kept. */
function normalized(ctx: WriteContext, axes: readonly number[]): string {
  const { tf } = ctx;
  const mean = (x: string): string => ctx.op('Mean', [x, tf.ints(axes)], { keep_dims: boolAttribute(true) });
  const centred = ctx.op('Sub', [ctx.input(0), mean(ctx.input(0))]);
  const variance = mean(ctx.op('Mul', [centred, centred]));
  return ctx.op('Mul', [
    centred,
    ctx.op('Rsqrt', [ctx.op('AddV2', [variance, tf.float(ctx.info.float('epsilon', 1e-5))])]),
  ]);
}

function layerNormalization(ctx: WriteContext): string {
  const axis = ctx.axis(ctx.info.int('axis', -1));
  if (ctx.node.outputs.slice(1).some((name) => name !== '')) return ctx.refuse('mean and deviation as outputs');
  const scaled = ctx.op('Mul', [
    normalized(
      ctx,
      Array.from({ length: ctx.rank() - axis }, (_, i) => axis + i),
    ),
    ctx.input(1),
  ]);
  return ctx.has(2) ? ctx.op('AddV2', [scaled, ctx.input(2)]) : scaled;
}

/** Per sample and channel of [n, c, ...]; scale and shift lie along axis 1. */
function instanceNormalization(ctx: WriteContext): string {
  const rank = ctx.rank();
  const along = (index: number): string =>
    ctx.op('Reshape', [ctx.input(index), ctx.tf.ints([-1, ...new Array<number>(rank - 2).fill(1)])], {
      Tshape: typeAttribute('int32'),
    });
  const y = normalized(
    ctx,
    Array.from({ length: rank - 2 }, (_, i) => i + 2),
  );
  return ctx.op('AddV2', [ctx.op('Mul', [y, along(1)]), along(2)]);
}

export const structure: Writers = {
  Gemm: gemm,
  MatMul: matMul,
  Einsum: einsum,
  Softmax: softmax('Softmax'),
  LogSoftmax: softmax('LogSoftmax'),
  ReduceMean: reduction('Mean'),
  ReduceSum: reduction('Sum'),
  ReduceMax: reduction('Max'),
  ReduceMin: reduction('Min'),
  ReduceProd: reduction('Prod'),
  ReduceL1: reduction('Sum', 'Abs'),
  ReduceL2: reduction('Sum', 'Square', 'Sqrt'),
  ReduceSumSquare: reduction('Sum', 'Square'),
  ArgMax: argument('ArgMax'),
  ArgMin: argument('ArgMin'),
  Reshape: reshape,
  Flatten: flatten,
  Transpose: (ctx) =>
    transpose(
      ctx,
      ctx.input(0),
      ctx.info.ints('perm') ?? Array.from({ length: ctx.rank() }, (_, i) => ctx.rank() - 1 - i),
    ),
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Slice: slice,
  Pad: pad,
  Split: split,
  Concat: (ctx) =>
    ctx.op('ConcatV2', [...ctx.inputs, ctx.tf.int(ctx.axis(ctx.info.int('axis', 0)))], {
      N: intAttribute(ctx.inputs.length),
    }),
  Gather: gather,
  GatherND: (ctx) =>
    ctx.info.int('batch_dims', 0) === 0 ? ctx.op('GatherNd', ctx.inputs) : ctx.refuse('batch dimensions'),
  Tile: (ctx) => ctx.op('Tile', ctx.inputs),
  Expand: (ctx) => ctx.op('BroadcastTo', ctx.inputs),
  Shape: shapePart,
  Size: (ctx) => ctx.op('Size', [ctx.input(0)], { out_type: typeAttribute('int32') }),
  ConstantOfShape: (ctx) => {
    const value = ctx.info.attribute('value');
    const dtype = value?.kind === 'tensor' ? value.value.dtype : 'float32';
    const fill =
      value?.kind === 'tensor'
        ? ctx.tf.constant({ dtype, dims: [], data: toHost(value.value).data }, `${ctx.label}/value`)
        : ctx.tf.float(0);
    return ctx.op('Fill', [ctx.input(0), fill], {}, tfType(dtype));
  },
  Range: (ctx) => ctx.op('Range', ctx.inputs),
  OneHot: (ctx) => {
    const [off, on] = tupleOf(ctx.numbers(2, 'values'), 2, 'values');
    const scalar = (value: number): string => (ctx.type(2) === 'float32' ? ctx.tf.float(value) : ctx.tf.int(value));
    return ctx.op(
      'OneHot',
      [ctx.input(0), ctx.tf.int(ctx.number(1, 'depth')), scalar(on), scalar(off)],
      { axis: intAttribute(ctx.info.int('axis', -1)) },
      ctx.type(2),
    );
  },
  CumSum: (ctx) =>
    ctx.op('Cumsum', ctx.inputs, {
      exclusive: boolAttribute(ctx.info.int('exclusive', 0) !== 0),
      reverse: boolAttribute(ctx.info.int('reverse', 0) !== 0),
    }),
  TopK: (ctx) => {
    const axis = ctx.axis(ctx.info.int('axis', -1));
    if (axis !== ctx.rank() - 1 || ctx.info.int('largest', 1) === 0)
      return ctx.refuse('TopK of other than the largest along the last axis');
    const name = ctx.op('TopKV2', [ctx.input(0), ctx.tf.int(ctx.number(1, 'count'))], {
      sorted: boolAttribute(true),
    });
    return [name, `${name}:1`];
  },
  LayerNormalization: layerNormalization,
  InstanceNormalization: instanceNormalization,
  CastLike: (ctx) =>
    ctx.tf.op(
      'Cast',
      [ctx.input(0)],
      { SrcT: typeAttribute(ctx.type(0)), DstT: typeAttribute(ctx.type(1)) },
      ctx.label,
    ),
};
