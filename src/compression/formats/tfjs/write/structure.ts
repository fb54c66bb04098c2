/** Matrix products, reductions and operators that move elements, as TensorFlow operators. */
import { itemOf, tupleOf } from '../../../ir/checked-access.ts';
import { hostNumbers, toHost } from '../../../ir/tensor-data.ts';
import type { WriteContext, Writer, Writers } from './context.ts';
import { boolAttribute, intAttribute, intsAttribute, textAttribute, tfType, typeAttribute } from './tf-graph.ts';

function gemm(ctx: WriteContext): string {
  const { info, tf } = ctx;
  const product = ctx.op('MatMul', [ctx.input(0), ctx.input(1)], {
    transpose_a: boolAttribute(info.int('transA', 0) !== 0),
    transpose_b: boolAttribute(info.int('transB', 0) !== 0),
  });
  const scaled = info.float('alpha', 1) === 1 ? product : ctx.op('Mul', [product, tf.float(info.float('alpha', 1))]);
  if (!ctx.has(2)) return scaled;
  const beta = info.float('beta', 1);
  return ctx.op('AddV2', [scaled, beta === 1 ? ctx.input(2) : ctx.op('Mul', [ctx.input(2), tf.float(beta)])]);
}

function matMul(ctx: WriteContext): string {
  if (ctx.rank(0) < 2 || ctx.rank(1) < 2) return ctx.refuse('products of vectors');
  if (ctx.rank(0) === 2 && ctx.rank(1) === 2) return ctx.op('MatMul', ctx.inputs);
  return ctx.op('BatchMatMulV2', ctx.inputs, { adj_x: boolAttribute(false), adj_y: boolAttribute(false) });
}

/** TF.js does not support dots, so letters replace them. An equation that only permutes axes is a transposition. */
function einsum(ctx: WriteContext): string {
  const equation = ctx.info.string('equation', '').replace(/\s/g, '');
  const [left = '', right] = equation.split('->');
  if (right === undefined) return ctx.refuse('an equation without its result');
  const dots = Math.max(
    ...left.split(',').map((term, i) => (term.includes('...') ? ctx.rank(i) - term.replace('...', '').length : 0)),
  );
  const free = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ']
    .filter((letter) => !equation.includes(letter))
    .slice(0, dots)
    .join('');
  const terms = left
    .split(',')
    .map((term, i) => term.replace('...', free.slice(free.length - (ctx.rank(i) - term.replace('...', '').length))));
  const result = right.replace('...', free);
  if (terms.some((term) => new Set(term).size !== term.length) || terms.length > 2)
    return ctx.refuse(`the equation ${equation}`);
  const [term = ''] = terms;
  if (terms.length === 1 && [...result].sort().join() === [...term].sort().join())
    return transpose(
      ctx,
      ctx.input(0),
      [...result].map((letter) => term.indexOf(letter)),
    );
  return ctx.op('Einsum', ctx.inputs, {
    equation: textAttribute(`${terms.join(',')}->${result}`),
    N: intAttribute(terms.length),
  });
}

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

function transpose(ctx: WriteContext, x: string, perm: readonly number[]): string {
  return ctx.op('Transpose', [x, ctx.tf.ints(perm)], { Tperm: typeAttribute('int32') });
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
  return ctx.refuse('a shape with several open dimensions');
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
    ? ctx.refuse('flattening with open dimensions on both sides')
    : toShape(ctx, sizes);
}

/** From `start` to `end`, which count from the back where they are negative. */
function shapePart(ctx: WriteContext): string {
  const shape = ctx.op('Shape', [ctx.input(0)], { out_type: typeAttribute('int32') });
  const [start, end] = [ctx.info.int('start', 0), ctx.info.attribute('end') ? ctx.info.int('end', 0) : null];
  if (start === 0 && end === null) return shape;
  const { tf } = ctx;
  return ctx.op(
    'StridedSlice',
    [shape, tf.ints([start]), tf.ints([end ?? 0]), tf.ints([1])],
    { end_mask: intAttribute(end === null ? 1 : 0) },
    'int32',
  );
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

/** Inputs from opset 10 on, attributes before. Bounds beyond the axis are cut by TensorFlow as by ONNX. */
function slice(ctx: WriteContext): string {
  const part = (index: number, name: string): number[] | null =>
    ctx.info.ints(name)?.slice() ?? (ctx.has(index) ? ctx.numbers(index, name) : null);
  if ([1, 2].some((index) => ctx.has(index) && !ctx.constant(index))) return computedSlice(ctx);
  const [starts, ends] = [part(1, 'starts'), part(2, 'ends')];
  if (!starts || !ends) return ctx.refuse('no bounds');
  const axes = (part(3, 'axes') ?? starts.map((_, i) => i)).map((axis) => ctx.axis(axis));
  const steps = part(4, 'steps') ?? starts.map(() => 1);
  const rank = ctx.rank();
  const [begin, end, stride] = [
    new Array<number>(rank).fill(0),
    new Array<number>(rank).fill(0),
    new Array<number>(rank).fill(1),
  ];
  let [beginMask, endMask] = [2 ** rank - 1, 2 ** rank - 1];
  axes.forEach((axis, i) => {
    const wide = 2 ** 31 - 1;
    const [first, last] = [itemOf(starts, i, 'starts'), itemOf(ends, i, 'ends')];
    begin[axis] = Math.min(Math.max(first, -wide), wide);
    end[axis] = Math.min(Math.max(last, -wide), wide);
    stride[axis] = itemOf(steps, i, 'steps');
    if (Math.abs(first) < wide) beginMask -= 2 ** axis;
    if (Math.abs(last) < wide) endMask -= 2 ** axis;
  });
  return ctx.op('StridedSlice', [ctx.input(0), ctx.tf.ints(begin), ctx.tf.ints(end), ctx.tf.ints(stride)], {
    begin_mask: intAttribute(beginMask),
    end_mask: intAttribute(endMask),
  });
}

/** Bounds that are computed while the model runs: one number for every axis, put together. */
function computedSlice(ctx: WriteContext): string {
  const rank = ctx.rank();
  const { tf } = ctx;
  const axes = ctx.has(3) ? ctx.numbers(3, 'axes').map((axis) => ctx.axis(axis)) : null;
  const known = [1, 2].map((index) => ctx.constant(index)).find((constant) => constant);
  const count = axes?.length ?? known?.dims[0] ?? Number(ctx.shape(1)?.[0] ?? rank);
  const steps = ctx.has(4) ? ctx.numbers(4, 'steps') : Array.from({ length: count }, () => 1);
  const entryOf = (axis: number): number => (axes ? axes.indexOf(axis) : axis < count ? axis : -1);
  const entries = Array.from({ length: rank }, (_, axis) => entryOf(axis));
  const element = (input: number, i: number): string =>
    i === -1
      ? tf.int(0)
      : ctx.op(
          'StridedSlice',
          [ctx.input(input), tf.ints([i]), tf.ints([i + 1]), tf.ints([1])],
          { shrink_axis_mask: intAttribute(1) },
          'int32',
        );
  const vector = (input: number): string =>
    ctx.op(
      'Pack',
      entries.map((i) => element(input, i)),
      { N: intAttribute(rank), axis: intAttribute(0) },
      'int32',
    );
  const open = entries.reduce((mask, i, axis) => mask + (i === -1 ? 2 ** axis : 0), 0);
  return ctx.op(
    'StridedSlice',
    [ctx.input(0), vector(1), vector(2), tf.ints(entries.map((i) => (i === -1 ? 1 : itemOf(steps, i, 'steps'))))],
    { begin_mask: intAttribute(open), end_mask: intAttribute(open) },
  );
}

function pad(ctx: WriteContext): string {
  const pads = ctx.info.ints('pads') ?? ctx.numbers(1, 'pads');
  const rank = ctx.rank();
  const axes = ctx.has(3)
    ? ctx.numbers(3, 'axes').map((axis) => ctx.axis(axis))
    : Array.from({ length: rank }, (_, i) => i);
  const table = new Int32Array(2 * rank);
  axes.forEach((axis, i) => table.set([itemOf(pads, i, 'pads'), itemOf(pads, i + axes.length, 'pads')], 2 * axis));
  if (table.some((value) => value < 0)) return ctx.refuse('negative pads');
  const paddings = ctx.tf.constant({ dtype: 'int32', dims: [rank, 2], data: table }, `${ctx.label}/pads`);
  const mode = ctx.info.string('mode', 'constant');
  if (mode === 'reflect')
    return ctx.op('MirrorPad', [ctx.input(0), paddings], { mode: { s: Buffer.from('REFLECT').toString('base64') } });
  if (mode !== 'constant') return ctx.refuse(`padding mode ${mode}`);
  const value = ctx.has(2) ? ctx.number(2, 'padding value') : ctx.info.float('value', 0);
  return ctx.op('PadV2', [ctx.input(0), paddings, ctx.type() === 'int32' ? ctx.tf.int(value) : ctx.tf.float(value)]);
}

function split(ctx: WriteContext): string[] {
  const count = ctx.node.outputs.length;
  const axis = ctx.axis(ctx.info.int('axis', 0));
  const sizes = ctx.info.ints('split') ?? (ctx.has(1) ? ctx.numbers(1, 'sizes') : null) ?? evenSizes(ctx, axis, count);
  const name = ctx.op('SplitV', [ctx.input(0), ctx.tf.ints(sizes), ctx.tf.int(axis)], {
    num_split: intAttribute(count),
  });
  return ctx.node.outputs.map((_, i) => (i === 0 ? name : `${name}:${i}`));
}

function evenSizes(ctx: WriteContext, axis: number, count: number): number[] {
  const size = ctx.shape()?.[axis];
  if (typeof size !== 'number') return ctx.refuse('splitting an axis of open size');
  const part = Math.ceil(size / count);
  return Array.from({ length: count }, (_, i) => Math.min(part, size - i * part));
}

/** TensorFlow accepts no negative indices. */
function gather(ctx: WriteContext): string {
  const axis = ctx.axis(ctx.info.int('axis', 0));
  const size = ctx.shape()?.[axis];
  const constant = ctx.constant(1);
  const indices = constant && hostNumbers(constant);
  if (indices?.some((index) => index < 0) && typeof size !== 'number')
    return ctx.refuse('indices from the end of an open axis');
  const counted =
    constant && indices?.some((index) => index < 0)
      ? ctx.tf.constant(
          {
            dtype: 'int32',
            dims: constant.dims,
            data: Int32Array.from(indices, (index) => (index < 0 ? index + Number(size) : index)),
          },
          `${ctx.label}/indices`,
        )
      : ctx.input(1);
  return ctx.op('GatherV2', [ctx.input(0), counted, ctx.tf.int(axis)], { batch_dims: intAttribute(0) });
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
      return ctx.refuse('anything but the largest along the last axis');
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
