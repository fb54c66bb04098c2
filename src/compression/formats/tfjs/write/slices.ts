/** Parts of tensors: slices, pads, splits, elements by index. */
import { itemOf } from '../../../ir/checked-access.ts';
import { hostNumbers } from '../../../ir/tensor-data.ts';
import type { WriteContext } from './context.ts';
import { intAttribute, typeAttribute } from './tf-graph.ts';

/** From `start` to `end`, which count from the back where they are negative. */
export function shapePart(ctx: WriteContext): string {
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

/** Inputs from opset 10 on, attributes before. Bounds beyond the axis are cut by TensorFlow as by ONNX. */
export function slice(ctx: WriteContext): string {
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

export function pad(ctx: WriteContext): string {
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

export function split(ctx: WriteContext): string[] {
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
  if (typeof size !== 'number') return ctx.refuse('splitting an axis of dynamic size');
  const part = Math.ceil(size / count);
  return Array.from({ length: count }, (_, i) => Math.min(part, size - i * part));
}

/** TensorFlow accepts no negative indices. */
export function gather(ctx: WriteContext): string {
  const axis = ctx.axis(ctx.info.int('axis', 0));
  const size = ctx.shape()?.[axis];
  const constant = ctx.constant(1);
  const indices = constant && hostNumbers(constant);
  if (indices?.some((index) => index < 0) && typeof size !== 'number')
    return ctx.refuse('indices from the end of a dynamic axis');
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
