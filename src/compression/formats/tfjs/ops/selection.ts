/** Operators that look elements up, rank them or place them, as detectors and landmark models end in. */
import {
  at,
  bool,
  float,
  int64At,
  numberAt,
  onnxType,
  plain,
  plainValue,
  typeOf,
  UnsupportedNode,
  type NodeContext,
  type NodeConverter,
} from '../node.ts';

const INT32 = onnxType('int32');

/** A scalar or a vector of one as a vector of one int64. */
const oneInt64 = (ctx: NodeContext, index: number): string =>
  ctx.b.op('Reshape', [int64At(ctx, index), ctx.b.ints([1])], {}, `${ctx.node.name}/count`);

const topK: NodeConverter = (ctx) => {
  const { b, node } = ctx;
  const [values, indices] = b.ops(
    'TopK',
    [plain(ctx, 0), oneInt64(ctx, 1)],
    2,
    { axis: -1, sorted: bool(ctx, 'sorted') ? 1 : 0 },
    node.name,
  );
  return [plainValue(values), plainValue(b.op('Cast', [indices], { to: INT32 }, `${node.name}/indices`))];
};

const gatherNd: NodeConverter = (ctx) =>
  plainValue(ctx.b.op('GatherND', [plain(ctx, 0), int64At(ctx, 1)], {}, ctx.node.name));

const scatterNd: NodeConverter = (ctx) => {
  const { b, node } = ctx;
  const zeros = b.op(
    'Expand',
    [b.scalar(0, typeOf(node.attr?.['T']?.type)), int64At(ctx, 2)],
    {},
    `${node.name}/zeros`,
  );
  return plainValue(
    b.op(
      'ScatterND',
      [zeros, int64At(ctx, 0), plain(ctx, 1)],
      { reduction: { kind: 'string', value: 'add' } },
      node.name,
    ),
  );
};

/** Indices [n, rank] (or [n] into a vector), shape, values [n] or one for all, default. */
const sparseToDense: NodeConverter = (ctx) => {
  const { b, node } = ctx;
  const shape = int64At(ctx, 1);
  const filled = b.op('Expand', [plain(ctx, 3), shape], {}, `${node.name}/default`);
  const rank = b.op('Shape', [shape], {}, `${node.name}/rank`);
  const indices = b.op(
    'Reshape',
    [int64At(ctx, 0), b.op('Concat', [b.ints([-1]), rank], { axis: 0 }, `${node.name}/by_index`)],
    {},
    `${node.name}/indices`,
  );
  const count = b.op('Shape', [indices], { start: 0, end: 1 }, `${node.name}/count`);
  return plainValue(
    b.op(
      'ScatterND',
      [filled, indices, b.op('Expand', [plain(ctx, 2), count], {}, `${node.name}/values`)],
      {},
      node.name,
    ),
  );
};

/** Coordinates [n, rank] of the true elements. */
const where: NodeConverter = (ctx) => {
  const { b, node } = ctx;
  const columns = b.op(
    'Transpose',
    [b.op('NonZero', [plain(ctx, 0)], {}, `${node.name}/non_zero`)],
    { perm: [1, 0] },
    `${node.name}/coordinates`,
  );
  return plainValue(b.op('Cast', [columns], { to: INT32 }, node.name));
};

/** boxes [n, 4], scores [n] -> indices [k]; ONNX works on batches and classes, of which there is one here. */
const nonMaxSuppression: NodeConverter = (ctx) => {
  const { b, node } = ctx;
  const scalar = (index: number, fallback: number): string =>
    ctx.inputs[index]
      ? b.op('Reshape', [plain(ctx, index), b.ints([1])], {}, `${node.name}/threshold`)
      : b.op('Reshape', [b.scalar(fallback), b.ints([1])], {}, `${node.name}/threshold`);
  const soft = node.op === 'NonMaxSuppressionV5' && ctx.inputs[5] ? numberAt(ctx, 5, 'soft-NMS sigma') : 0;
  if (soft !== 0) throw new UnsupportedNode('soft non-maximum suppression has no ONNX form');
  if (node.op === 'NonMaxSuppressionV4' && bool(ctx, 'pad_to_max_output_size'))
    throw new UnsupportedNode('padding to the largest number of boxes');
  const boxes = b.op('Unsqueeze', [plain(ctx, 0), b.ints([0])], {}, `${node.name}/boxes`);
  const scores = b.op('Unsqueeze', [plain(ctx, 1), b.ints([0, 1])], {}, `${node.name}/scores`);
  const iou =
    node.op === 'NonMaxSuppression'
      ? b.op('Reshape', [b.scalar(float(ctx, 'iou_threshold', 0.5)), b.ints([1])], {}, `${node.name}/threshold`)
      : scalar(3, 0.5);
  const found = b.op(
    'NonMaxSuppression',
    [boxes, scores, oneInt64(ctx, 2), iou, ...(at(ctx, 3) && ctx.inputs[4] ? [scalar(4, 0)] : [])],
    {},
    `${node.name}/found`,
  );
  const indices = b.op('Gather', [found, b.scalar(2, 'int64')], { axis: 1 }, `${node.name}/column`);
  const selected = plainValue(b.op('Cast', [indices], { to: INT32 }, node.name));
  const count = (): string =>
    b.op(
      'Cast',
      [b.op('Squeeze', [b.op('Shape', [indices], {}, `${node.name}/size`), b.ints([0])], {}, `${node.name}/scalar`)],
      { to: INT32 },
      `${node.name}/valid`,
    );
  if (node.op === 'NonMaxSuppressionV4') return [selected, plainValue(count())];
  if (node.op !== 'NonMaxSuppressionV5') return selected;
  return [
    selected,
    plainValue(b.op('Gather', [plain(ctx, 1), indices], { axis: 0 }, `${node.name}/selected_scores`)),
    plainValue(count()),
  ];
};

export const SELECTION: Readonly<Record<string, NodeConverter>> = {
  TopKV2: topK,
  GatherNd: gatherNd,
  ScatterNd: scatterNd,
  SparseToDense: sparseToDense,
  Where: where,
  NonMaxSuppression: nonMaxSuppression,
  NonMaxSuppressionV2: nonMaxSuppression,
  NonMaxSuppressionV3: nonMaxSuppression,
  NonMaxSuppressionV4: nonMaxSuppression,
  NonMaxSuppressionV5: nonMaxSuppression,
};
