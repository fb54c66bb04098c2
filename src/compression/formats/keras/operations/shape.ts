/** Functions that move elements: shapes, orders of axes, joining and taking apart. */
import { existing, itemOf, mapTuple } from '../../../ir/checked-access.ts';
import { isList, isSignal } from '../argument.ts';
import { UnsupportedLayer } from '../layer.ts';
import { cast, onnxAxis, plain, plainSignal, product, range, typeOf, type Shape, type Signal } from '../signal.ts';
import {
  aligned,
  argument,
  intsOf,
  numberOf,
  positive,
  promoted,
  requiredInts,
  tensor,
  tensors,
  type Operation,
  type OperationContext,
} from './operation.ts';

/** A new tensor in Keras's order, of the type of `x`. */
const moved = (x: Signal, value: string, shape: Shape): Signal => plainSignal(value, shape, typeOf(x));

const reshape: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const given = argument(ctx, 1, 'newshape') ?? argument(ctx, 1, 'shape');
  if (!isList(given) || given.some((size) => isSignal(size)))
    throw new UnsupportedLayer('a shape that is computed at run time is not supported');
  const target = given.map((size) => (typeof size === 'number' ? size : -1));
  const [total, known] = [product(x.shape), product(target.filter((size) => size !== -1)) ?? 1];
  const shape = target.map((size) => (size !== -1 ? size : total === null ? null : total / known));
  return moved(x, ctx.b.op('Reshape', [plain(ctx.b, x), ctx.b.ints(target)], {}, ctx.name), shape);
};

function permuted(ctx: OperationContext, x: Signal, perm: readonly number[]): Signal {
  return moved(
    x,
    ctx.b.op('Transpose', [plain(ctx.b, x)], { perm }, ctx.name),
    perm.map((axis) => x.shape[axis] ?? null),
  );
}

const transpose: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const rank = x.shape.length;
  return permuted(
    ctx,
    x,
    (intsOf(ctx, 1, 'axes') ?? range(0, rank).reverse()).map((axis) => positive(axis, rank)),
  );
};

const swapaxes: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const [a, z] = mapTuple([numberOf(ctx, 1, 'axis1', 0), numberOf(ctx, 2, 'axis2', 0)], (axis) =>
    positive(axis, x.shape.length),
  );
  return permuted(
    ctx,
    x,
    range(0, x.shape.length).map((axis) => (axis === a ? z : axis === z ? a : axis)),
  );
};

const moveaxis: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const rank = x.shape.length;
  const [from, to] = mapTuple([requiredInts(ctx, 1, 'source'), requiredInts(ctx, 2, 'destination')], (axes) =>
    axes.map((axis) => positive(axis, rank)),
  );
  const rest = range(0, rank).filter((axis) => !from.includes(axis));
  const source = (axis: number): number =>
    to.includes(axis) ? itemOf(from, to.indexOf(axis), 'source') : existing(rest.shift(), `an axis for place ${axis}`);
  return permuted(ctx, x, range(0, rank).map(source));
};

const expandDims: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const axes = intsOf(ctx, 1, 'axis') ?? [-1];
  const rank = x.shape.length + axes.length;
  const places = axes.map((axis) => positive(axis, rank)).sort((a, z) => a - z);
  const shape = [...x.shape];
  for (const place of places) shape.splice(place, 0, 1);
  return moved(x, ctx.b.op('Unsqueeze', [plain(ctx.b, x), ctx.b.ints(places)], {}, ctx.name), shape);
};

const squeeze: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const axes =
    intsOf(ctx, 1, 'axis')?.map((axis) => positive(axis, x.shape.length)) ??
    range(0, x.shape.length).filter((axis) => x.shape[axis] === 1);
  return moved(
    x,
    ctx.b.op('Squeeze', [plain(ctx.b, x), ctx.b.ints(axes)], {}, ctx.name),
    x.shape.filter((_, axis) => !axes.includes(axis)),
  );
};

const concatenate: Operation = (ctx) => {
  const signals = promoted(ctx.b, tensors(ctx));
  const { values, channelsFirst } = aligned(ctx.b, signals);
  const first = itemOf(signals, 0, 'the list of tensors');
  const position = positive(numberOf(ctx, 1, 'axis', -1), first.shape.length);
  const sizes = signals.map(({ shape }) => shape[position] ?? null);
  const shape = first.shape.map((size, axis) =>
    axis === position
      ? sizes.reduce<number | null>((sum, next) => (sum === null || next === null ? null : sum + next), 0)
      : size,
  );
  const signal = { value: '', shape, channelsFirst, dtype: typeOf(first) };
  return { ...signal, value: ctx.b.op('Concat', values, { axis: onnxAxis(signal, position) }, ctx.name) };
};

const stack: Operation = (ctx) => {
  const { b, name } = ctx;
  const signals = promoted(b, tensors(ctx));
  const first = itemOf(signals, 0, 'the list of tensors');
  const axis = positive(numberOf(ctx, 1, 'axis', 0), first.shape.length + 1);
  const wide = signals.map((signal) => b.op('Unsqueeze', [plain(b, signal), b.ints([axis])], {}, `${name}/one`));
  return moved(first, b.op('Concat', wide, { axis }, name), [
    ...first.shape.slice(0, axis),
    signals.length,
    ...first.shape.slice(axis),
  ]);
};

/** Into equal parts, or at the given places. */
const split: Operation = (ctx) => {
  const { b, name } = ctx;
  const x = tensor(ctx, 0);
  const axis = positive(numberOf(ctx, 2, 'axis', 0), x.shape.length);
  const size = x.shape[axis];
  if (typeof size !== 'number') throw new UnsupportedLayer('a split of an axis of dynamic size is not supported');
  const given = argument(ctx, 1, 'indices_or_sections');
  const ends = isList(given)
    ? [...given.map(Number), size]
    : range(1, Number(given) + 1).map((i) => (i * size) / Number(given));
  const sizes = ends.map((end, i) => end - (ends[i - 1] ?? 0));
  const parts = b.ops('Split', [plain(b, x), b.ints(sizes)], sizes.length, { axis }, name);
  return parts.map((part, i) =>
    moved(
      x,
      part,
      x.shape.map((old, at) => (at === axis ? itemOf(sizes, i, 'the list of sizes') : old)),
    ),
  );
};

const unstack: Operation = (ctx) => {
  const { b, name } = ctx;
  const x = tensor(ctx, 0);
  const axis = positive(numberOf(ctx, 2, 'axis', 0), x.shape.length);
  const size = x.shape[axis];
  if (typeof size !== 'number') throw new UnsupportedLayer('taking an axis of dynamic size apart is not supported');
  return range(0, size).map((i) =>
    moved(
      x,
      b.op('Gather', [plain(b, x), b.scalar(i, 'int64')], { axis }, `${name}/${i}`),
      x.shape.filter((_, at) => at !== axis),
    ),
  );
};

function reversed(ctx: OperationContext, value: string, axes: readonly number[]): string {
  const each = (n: number): string => ctx.b.ints(axes.map(() => n));
  return ctx.b.op('Slice', [value, each(-1), each(-Number.MAX_SAFE_INTEGER), ctx.b.ints(axes), each(-1)], {}, ctx.name);
}

const flip: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const axes = intsOf(ctx, 1, 'axis')?.map((axis) => positive(axis, x.shape.length)) ?? range(0, x.shape.length);
  return moved(x, reversed(ctx, plain(ctx.b, x), axes), x.shape);
};

const roll: Operation = (ctx) => {
  const { b, name } = ctx;
  const x = tensor(ctx, 0);
  const [shift, axis] = [numberOf(ctx, 1, 'shift', 0), argument(ctx, 2, 'axis')];
  if (typeof axis !== 'number') throw new UnsupportedLayer('a roll over all axes is not supported');
  if (shift === 0) return x;
  const value = plain(b, x);
  const cut = (start: number, end: number): string =>
    b.op('Slice', [value, b.ints([start]), b.ints([end]), b.ints([axis])], {}, `${name}/part`);
  return moved(x, b.op('Concat', [cut(-shift, Number.MAX_SAFE_INTEGER), cut(0, -shift)], { axis }, name), x.shape);
};

const tile: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const repeats = requiredInts(ctx, 1, 'repeats');
  const rank = Math.max(repeats.length, x.shape.length);
  if (repeats.length > x.shape.length)
    throw new UnsupportedLayer('tiles over more axes than the tensor has are not supported');
  const all = [...range(0, rank - repeats.length).map(() => 1), ...repeats];
  return moved(
    x,
    ctx.b.op('Tile', [plain(ctx.b, x), ctx.b.ints(all)], {}, ctx.name),
    x.shape.map((size, axis) => (size === null ? null : size * itemOf(all, axis, 'repeats'))),
  );
};

const repeat: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const [times, given] = [argument(ctx, 1, 'repeats'), argument(ctx, 2, 'axis')];
  if (typeof times !== 'number' || typeof given !== 'number')
    throw new UnsupportedLayer('repeats that differ or run over all axes are not supported');
  const axis = positive(given, x.shape.length);
  const size = x.shape[axis];
  if (typeof size !== 'number') throw new UnsupportedLayer('repeats along an axis of dynamic size are not supported');
  const places = range(0, size * times).map((i) => Math.floor(i / times));
  return moved(
    x,
    ctx.b.op('Gather', [plain(ctx.b, x), ctx.b.ints(places)], { axis }, ctx.name),
    x.shape.map((old, at) => (at === axis ? size * times : old)),
  );
};

const PAD_MODES: Readonly<Record<string, string>> = { constant: 'constant', reflect: 'reflect', edge: 'edge' };

const pad: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const mode = PAD_MODES[String(argument(ctx, 2, 'mode') ?? 'constant')];
  const width = argument(ctx, 1, 'pad_width');
  if (!mode) throw new UnsupportedLayer(`padding of mode "${String(argument(ctx, 2, 'mode'))}" is not supported`);
  const pairs =
    isList(width) && isList(width[0])
      ? width.map((pair) => (isList(pair) ? pair.map(Number) : [Number(pair), Number(pair)]))
      : x.shape.map(() => [width].flat().map(Number));
  const [before, after] = mapTuple([0, 1], (side) => pairs.map((pair) => pair[side] ?? itemOf(pair, 0, 'pad_width')));
  const filling = mode === 'constant' ? [ctx.b.scalar(numberOf(ctx, 3, 'constant_values', 0), typeOf(x))] : [];
  const value = ctx.b.op('Pad', [plain(ctx.b, x), ctx.b.ints([...before, ...after]), ...filling], { mode }, ctx.name);
  return moved(
    x,
    value,
    x.shape.map((size, axis) =>
      size === null ? null : size + itemOf(before, axis, 'pad_width') + itemOf(after, axis, 'pad_width'),
    ),
  );
};

const broadcastTo: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const target = requiredInts(ctx, 1, 'shape');
  return moved(x, ctx.b.op('Expand', [plain(ctx.b, x), ctx.b.ints(target)], {}, ctx.name), target);
};

const diff: Operation = (ctx) => {
  const { b, name } = ctx;
  const x = tensor(ctx, 0);
  const axis = positive(numberOf(ctx, 2, 'axis', -1), x.shape.length);
  if (numberOf(ctx, 1, 'n', 1) !== 1) throw new UnsupportedLayer('differences of a higher order are not supported');
  const cut = (start: number, end: number): string =>
    b.op('Slice', [plain(b, x), b.ints([start]), b.ints([end]), b.ints([axis])], {}, `${name}/part`);
  return moved(
    x,
    b.op('Sub', [cut(1, Number.MAX_SAFE_INTEGER), cut(0, -1)], {}, name),
    x.shape.map((size, at) => (at === axis && size !== null ? size - 1 : size)),
  );
};

const triangle =
  (upper: number): Operation =>
  (ctx) => {
    const x = tensor(ctx, 0);
    return moved(
      x,
      ctx.b.op('Trilu', [plain(ctx.b, x), ctx.b.scalar(numberOf(ctx, 1, 'k', 0), 'int64')], { upper }, ctx.name),
      x.shape,
    );
  };

const matmul: Operation = (ctx) => {
  const [x, y] = promoted(ctx.b, [tensor(ctx, 0, 'x1'), tensor(ctx, 1, 'x2')], 'float32');
  if (x.shape.length < 2 || y.shape.length < 2) throw new UnsupportedLayer('products of vectors are not supported');
  const outer = x.shape.length >= y.shape.length ? x.shape.slice(0, -2) : y.shape.slice(0, -2);
  return plainSignal(ctx.b.op('MatMul', [plain(ctx.b, x), plain(ctx.b, y)], {}, ctx.name), [
    ...outer,
    x.shape.at(-2) ?? null,
    y.shape.at(-1) ?? null,
  ]);
};

const einsum: Operation = (ctx) => {
  const equation = String(argument(ctx, -1, 'subscripts') ?? ctx.args[0]).replaceAll(' ', '');
  const signals = ctx.args.filter(isSignal).map((signal) => cast(ctx.b, signal, 'float32'));
  const [left = '', right] = equation.split('->');
  if (right === undefined || equation.includes('.'))
    throw new UnsupportedLayer(`the equation "${equation}" is not supported`);
  const sizes = new Map(
    left
      .split(',')
      .flatMap((letters, i) => [...letters].map((letter, axis) => [letter, signals[i]?.shape[axis] ?? null] as const)),
  );
  return plainSignal(
    ctx.b.op(
      'Einsum',
      signals.map((signal) => plain(ctx.b, signal)),
      { equation },
      ctx.name,
    ),
    [...right].map((letter) => sizes.get(letter) ?? null),
  );
};

export const SHAPE_OPERATIONS: Readonly<Record<string, Operation>> = {
  Reshape: reshape,
  Transpose: transpose,
  Swapaxes: swapaxes,
  Moveaxis: moveaxis,
  ExpandDims: expandDims,
  Squeeze: squeeze,
  Concatenate: concatenate,
  Stack: stack,
  Split: split,
  Unstack: unstack,
  Flip: flip,
  Roll: roll,
  Tile: tile,
  Repeat: repeat,
  Pad: pad,
  BroadcastTo: broadcastTo,
  Diff: diff,
  Tril: triangle(0),
  Triu: triangle(1),
  Matmul: matmul,
  Einsum: einsum,
  Dot: (ctx) => {
    if (tensor(ctx, 1, 'x2').shape.length > 2)
      throw new UnsupportedLayer('a dot product with a tensor of more than two axes is not supported');
    return matmul(ctx);
  },
};
