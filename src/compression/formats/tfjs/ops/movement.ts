/** Shapes, movement of elements, reductions. */
import { itemOf } from '../../../ir/checked-access.ts';
import {
  at,
  bool,
  int,
  int64At,
  ints,
  numberAt,
  numbersAt,
  onnxType,
  plain,
  plainValue,
  string,
  typeOf,
  UnsupportedNode,
  type NodeContext,
  type NodeConverter,
} from '../node.ts';
import { slice, stridedSlice } from './slicing.ts';

const reshape: NodeConverter = (ctx) =>
  plainValue(ctx.b.op('Reshape', [plain(ctx, 0), int64At(ctx, 1)], { allowzero: 1 }, ctx.node.name));

const squeeze: NodeConverter = (ctx) => {
  const axes = [...ints(ctx, 'squeeze_dims'), ...ints(ctx, 'axis')];
  return plainValue(
    ctx.b.op('Squeeze', [plain(ctx, 0), ...(axes.length > 0 ? [ctx.b.ints(axes)] : [])], {}, ctx.node.name),
  );
};

const expandDims: NodeConverter = (ctx) =>
  plainValue(ctx.b.op('Unsqueeze', [plain(ctx, 0), ctx.b.ints(numbersAt(ctx, 1, 'axis'))], {}, ctx.node.name));

const transpose: NodeConverter = (ctx) =>
  plainValue(ctx.b.op('Transpose', [plain(ctx, 0)], { perm: numbersAt(ctx, 1, 'permutation') }, ctx.node.name));

/** An axis of [n, h, w, c] as one of [n, c, h, w]. */
const channelsFirstAxis = (axis: number): number => itemOf([0, 2, 3, 1], axis, 'the list of axes of an image');

/** ConcatV2: the axis is the last input. Images along their channels stay channels first. */
const concat: NodeConverter = (ctx) => {
  const axis = numberAt(ctx, ctx.inputs.length - 1, 'axis');
  const parts = ctx.inputs.slice(0, -1);
  if (parts.every((part) => part.channelsFirst)) {
    const moved = channelsFirstAxis(axis);
    return {
      value: ctx.b.op(
        'Concat',
        parts.map((part) => part.value),
        { axis: moved },
        ctx.node.name,
      ),
      channelsFirst: true,
      constant: null,
    };
  }
  return plainValue(
    ctx.b.op(
      'Concat',
      parts.map((_, i) => plain(ctx, i)),
      { axis },
      ctx.node.name,
    ),
  );
};

/** Paddings [[before, after], ...] per axis -> [before..., after...]. */
function onnxPads(ctx: NodeContext): string {
  const { constant } = at(ctx, 1);
  if (!constant)
    return ctx.b.op(
      'Reshape',
      [ctx.b.op('Transpose', [int64At(ctx, 1)], { perm: [1, 0] }, `${ctx.node.name}/by_side`), ctx.b.ints([-1])],
      {},
      `${ctx.node.name}/pads`,
    );
  const pairs = Array.from(constant.values);
  return ctx.b.ints([...pairs.filter((_, i) => i % 2 === 0), ...pairs.filter((_, i) => i % 2 === 1)]);
}

const pad: NodeConverter = (ctx) => {
  const value = ctx.inputs.length > 2 ? [ctx.b.scalar(numberAt(ctx, 2, 'constant'))] : [];
  return plainValue(ctx.b.op('Pad', [plain(ctx, 0), onnxPads(ctx), ...value], {}, ctx.node.name));
};

const mirrorPad: NodeConverter = (ctx) => {
  if (string(ctx, 'mode', 'REFLECT') !== 'REFLECT') throw new UnsupportedNode('symmetric padding has no ONNX form');
  return plainValue(ctx.b.op('Pad', [plain(ctx, 0), onnxPads(ctx)], { mode: 'reflect' }, ctx.node.name));
};

const split: NodeConverter = (ctx) => {
  const axis = numberAt(ctx, 0, 'axis');
  const count = int(ctx, 'num_split', 1);
  return ctx.b.ops('Split', [plain(ctx, 1)], count, { axis, num_outputs: count }, ctx.node.name).map(plainValue);
};

const splitV: NodeConverter = (ctx) => {
  const sizes = numbersAt(ctx, 1, 'sizes');
  if (sizes.includes(-1)) throw new UnsupportedNode('a part of dynamic size');
  return ctx.b
    .ops('Split', [plain(ctx, 0), ctx.b.ints(sizes)], sizes.length, { axis: numberAt(ctx, 2, 'axis') }, ctx.node.name)
    .map(plainValue);
};

const pack: NodeConverter = (ctx) => {
  const axis = int(ctx, 'axis', 0);
  const parts = ctx.inputs.map((_, i) =>
    ctx.b.op('Unsqueeze', [plain(ctx, i), ctx.b.ints([axis])], {}, `${ctx.node.name}/part`),
  );
  const elements = ctx.inputs.map(({ constant }) =>
    constant?.values.length === 1 ? (constant.values[0] ?? null) : null,
  );
  return { ...plainValue(ctx.b.op('Concat', parts, { axis }, ctx.node.name)), elements };
};

const unpack: NodeConverter = (ctx) => {
  const [axis, count] = [int(ctx, 'axis', 0), int(ctx, 'num', 1)];
  const parts = ctx.b.ops('Split', [plain(ctx, 0)], count, { axis, num_outputs: count }, `${ctx.node.name}/parts`);
  return parts.map((part) => plainValue(ctx.b.op('Squeeze', [part, ctx.b.ints([axis])], {}, ctx.node.name)));
};

const gather: NodeConverter = (ctx) => {
  if (int(ctx, 'batch_dims', 0) !== 0) throw new UnsupportedNode('batch_dims');
  const axis = ctx.inputs.length > 2 ? numberAt(ctx, 2, 'axis') : 0;
  return plainValue(ctx.b.op('Gather', [plain(ctx, 0), plain(ctx, 1)], { axis }, ctx.node.name));
};

const shape: NodeConverter = (ctx) =>
  plainValue(
    ctx.b.op('Cast', [ctx.b.op('Shape', [plain(ctx, 0)], {}, `${ctx.node.name}/shape`)], { to: 6 }, ctx.node.name),
  );

const size: NodeConverter = (ctx) =>
  plainValue(
    ctx.b.op('Cast', [ctx.b.op('Size', [at(ctx, 0).value], {}, `${ctx.node.name}/size`)], { to: 6 }, ctx.node.name),
  );

const fill: NodeConverter = (ctx) =>
  plainValue(ctx.b.op('Expand', [plain(ctx, 1), int64At(ctx, 0)], {}, ctx.node.name));

const reduce =
  (opType: string): NodeConverter =>
  (ctx) => {
    const keepdims = bool(ctx, 'keep_dims') ? 1 : 0;
    const axes = numbersAt(ctx, 1, 'axes');
    const { value, channelsFirst } = at(ctx, 0);
    if (channelsFirst && keepdims === 1) {
      return {
        value: ctx.b.op(opType, [value, ctx.b.ints(axes.map(channelsFirstAxis))], { keepdims }, ctx.node.name),
        channelsFirst: true,
        constant: null,
      };
    }
    return plainValue(ctx.b.op(opType, [plain(ctx, 0), ctx.b.ints(axes)], { keepdims }, ctx.node.name));
  };

const arg =
  (opType: 'ArgMax' | 'ArgMin'): NodeConverter =>
  (ctx) => {
    const index = ctx.b.op(
      opType,
      [plain(ctx, 0)],
      { axis: numberAt(ctx, 1, 'axis'), keepdims: 0 },
      `${ctx.node.name}/index`,
    );
    return plainValue(
      ctx.b.op(
        'Cast',
        [index],
        { to: onnxType(typeOf(ctx.node.attr?.['output_type']?.type ?? 'DT_INT64')) },
        ctx.node.name,
      ),
    );
  };

const oneHot: NodeConverter = (ctx) => {
  const values = ctx.b.op(
    'Concat',
    [3, 2].map((i) => ctx.b.op('Reshape', [plain(ctx, i), ctx.b.ints([1])], {}, `${ctx.node.name}/value`)),
    { axis: 0 },
    `${ctx.node.name}/values`,
  );
  return plainValue(
    ctx.b.op(
      'OneHot',
      [plain(ctx, 0), ctx.b.ints(numbersAt(ctx, 1, 'depth')), values],
      { axis: int(ctx, 'axis', -1) },
      ctx.node.name,
    ),
  );
};

const depthToSpace =
  (opType: 'DepthToSpace' | 'SpaceToDepth'): NodeConverter =>
  (ctx) => {
    const { value, channelsFirst } = at(ctx, 0);
    const x = channelsFirst
      ? value
      : ctx.b.op('Transpose', [value], { perm: [0, 3, 1, 2] }, `${ctx.node.name}/channels_first`);
    return {
      value: ctx.b.op(opType, [x], { blocksize: int(ctx, 'block_size', 2) }, ctx.node.name),
      channelsFirst: true,
      constant: null,
    };
  };

const cumSum: NodeConverter = (ctx) =>
  plainValue(
    ctx.b.op(
      'CumSum',
      [plain(ctx, 0), ctx.b.scalar(numberAt(ctx, 1, 'axis'), 'int64')],
      { exclusive: bool(ctx, 'exclusive') ? 1 : 0, reverse: bool(ctx, 'reverse') ? 1 : 0 },
      ctx.node.name,
    ),
  );

export const MOVEMENT: Readonly<Record<string, NodeConverter>> = {
  Slice: slice,
  StridedSlice: stridedSlice,
  Reshape: reshape,
  Squeeze: squeeze,
  ExpandDims: expandDims,
  Transpose: transpose,
  ConcatV2: concat,
  Pad: pad,
  PadV2: pad,
  MirrorPad: mirrorPad,
  Split: split,
  SplitV: splitV,
  Pack: pack,
  Unpack: unpack,
  GatherV2: gather,
  Gather: gather,
  Shape: shape,
  Size: size,
  Fill: fill,
  Tile: (ctx) => plainValue(ctx.b.op('Tile', [plain(ctx, 0), int64At(ctx, 1)], {}, ctx.node.name)),
  Range: (ctx) => plainValue(ctx.b.op('Range', [plain(ctx, 0), plain(ctx, 1), plain(ctx, 2)], {}, ctx.node.name)),
  BroadcastTo: (ctx) => plainValue(ctx.b.op('Expand', [plain(ctx, 0), int64At(ctx, 1)], {}, ctx.node.name)),
  ZerosLike: (ctx) =>
    plainValue(
      ctx.b.op('Mul', [plain(ctx, 0), ctx.b.scalar(0, typeOf(ctx.node.attr?.['T']?.type))], {}, ctx.node.name),
    ),
  Mean: reduce('ReduceMean'),
  Sum: reduce('ReduceSum'),
  Max: reduce('ReduceMax'),
  Min: reduce('ReduceMin'),
  Prod: reduce('ReduceProd'),
  ArgMax: arg('ArgMax'),
  ArgMin: arg('ArgMin'),
  OneHot: oneHot,
  DepthToSpace: depthToSpace('DepthToSpace'),
  SpaceToDepth: depthToSpace('SpaceToDepth'),
  Cumsum: cumSum,
};
