/** Convolution, matrix products, pooling, normalization, resizing. */
import { itemOf, tupleOf } from '../../../ir/checked-access.ts';
import {
  UnsupportedNode,
  at,
  bool,
  constantAt,
  elementsAt,
  float,
  image,
  imageResult,
  int64At,
  ints,
  plain,
  plainValue,
  string,
  strings,
  weightOf,
  type NodeContext,
  type NodeConverter,
} from '../node.ts';
import { applyFused } from './elementwise.ts';
import { transpose } from '../../keras/layer.ts';
import type { AttributeValue } from '../../../ir/edit.ts';

/** [height, width] out of a list over the node's axes. */
const spatial = <T>(ctx: NodeContext, list: readonly T[]): (T | number)[] =>
  list.length === 0 ? [1, 1] : string(ctx, 'data_format', 'NHWC') === 'NCHW' ? list.slice(2) : list.slice(1, 3);

function padding(ctx: NodeContext): Record<string, AttributeValue> {
  const kind = string(ctx, 'padding', 'VALID');
  if (kind === 'SAME') return { auto_pad: 'SAME_UPPER' };
  if (kind === 'VALID') return {};
  const [top, bottom, left, right] = tupleOf(pairs(ctx).flat(), 4, 'explicit_paddings');
  return { pads: [top, left, bottom, right] };
}

const pairs = (ctx: NodeContext): number[][] => {
  const list = ints(ctx, 'explicit_paddings');
  return spatial(ctx, [0, 1, 2, 3]).map((axis) => list.slice(2 * axis, 2 * axis + 2));
};

const conv =
  (depthwise: boolean): NodeConverter =>
  (ctx) => {
    const { b, node } = ctx;
    const kernel = constantAt(ctx, 1, 'kernel');
    const { dims, values } = kernel;
    const [height, width, inputs, multiplier] = tupleOf(dims, 4, 'the shape of the kernel');
    // [kh, kw, cin / groups, cout], depthwise [kh, kw, cin, multiplier] -> [cout, cin / groups, kh, kw]
    const moved = transpose({ dims, values: Float32Array.from(values) }, depthwise ? [2, 3, 0, 1] : [3, 2, 0, 1]);
    const shape = depthwise ? [inputs * multiplier, 1, height, width] : moved.dims;
    const fused = strings(ctx, 'fused_ops');
    const bias = fused[0] === 'BiasAdd' ? constantAt(ctx, 2, 'bias') : null;
    const operands = [
      image(ctx, 0),
      weightOf(ctx, kernel, { layout: depthwise ? 'depthwise' : 'conv', dims: shape, values: moved.values }),
      ...(bias ? [weightOf(ctx, bias, { layout: 'bias', dims: [bias.values.length], values: bias.values })] : []),
    ];
    const attributes = {
      kernel_shape: [height, width],
      strides: spatial(ctx, ints(ctx, 'strides')),
      dilations: spatial(ctx, ints(ctx, 'dilations')),
      group: depthwise ? inputs : 1,
      ...padding(ctx),
    };
    const value = b.op('Conv', operands, attributes, node.name);
    return imageResult(ctx, applyFused(ctx, value, fused, ctx.inputs.at(-1)));
  };

const convTranspose: NodeConverter = (ctx) => {
  const { b, node } = ctx;
  const kernel = constantAt(ctx, 1, 'kernel');
  const { dims, values } = kernel;
  const sizes = dims.slice(0, 2);
  const moved = transpose({ dims, values: Float32Array.from(values) }, [3, 2, 0, 1]);
  const strides = spatial(ctx, ints(ctx, 'strides'));
  const shape = elementsAt(ctx, 0);
  const size = shape && spatial(ctx, shape);
  const same = string(ctx, 'padding', 'VALID') === 'SAME';
  const attributes: Record<string, AttributeValue> = { kernel_shape: sizes, strides };
  if (size?.every((dim) => dim !== null)) Object.assign(attributes, { output_shape: size, auto_pad: 'SAME_UPPER' });
  else {
    // With an open size the output is taken to be size * stride, and without padding max(kernel - stride, 0) more, as
    // Keras makes it.
    const overlaps = strides.map((stride, i) => itemOf(sizes, i, 'the shape of the kernel') - stride);
    const totals = overlaps.map((overlap) => (same ? Math.max(overlap, 0) : 0));
    Object.assign(attributes, {
      pads: [...totals.map((t) => Math.floor(t / 2)), ...totals.map((t) => Math.ceil(t / 2))],
      output_padding: overlaps.map((overlap) => Math.max(-overlap, 0)),
    });
  }
  return imageResult(
    ctx,
    b.op(
      'ConvTranspose',
      [image(ctx, 2), weightOf(ctx, kernel, { layout: 'transposed conv', dims: moved.dims, values: moved.values })],
      attributes,
      node.name,
    ),
  );
};

const pool =
  (opType: 'MaxPool' | 'AveragePool'): NodeConverter =>
  (ctx) =>
    imageResult(
      ctx,
      ctx.b.op(
        opType,
        [image(ctx, 0)],
        {
          kernel_shape: spatial(ctx, ints(ctx, 'ksize')),
          strides: spatial(ctx, ints(ctx, 'strides')),
          ...padding(ctx),
        },
        ctx.node.name,
      ),
    );

function transposed(ctx: NodeContext, index: number, flag: string): string {
  const { constant } = at(ctx, index);
  if (!bool(ctx, flag)) return plain(ctx, index);
  if (constant?.dims.length === 2) {
    const moved = transpose({ dims: constant.dims, values: Float32Array.from(constant.values) }, [1, 0]);
    return weightOf(ctx, constant, { layout: 'transposed', dims: moved.dims, values: moved.values });
  }
  return ctx.b.op('Transpose', [plain(ctx, index)], { perm: [1, 0] }, `${ctx.node.name}/transposed`);
}

const matMul: NodeConverter = (ctx) => {
  const fused = strings(ctx, 'fused_ops');
  const [x, w] = [transposed(ctx, 0, 'transpose_a'), transposed(ctx, 1, 'transpose_b')];
  const value =
    fused[0] === 'BiasAdd'
      ? ctx.b.op('Gemm', [x, w, plain(ctx, 2)], {}, ctx.node.name)
      : ctx.b.op('MatMul', [x, w], {}, ctx.node.name);
  return plainValue(applyFused(ctx, value, fused, undefined));
};

const batchMatMul: NodeConverter = (ctx) => {
  const operand = (index: number, flag: string): string => {
    if (!bool(ctx, flag)) return plain(ctx, index);
    // Einsum swaps the last two axes of a tensor of any rank.
    return ctx.b.op('Einsum', [plain(ctx, index)], { equation: '...ij->...ji' }, `${ctx.node.name}/transposed`);
  };
  return plainValue(ctx.b.op('MatMul', [operand(0, 'adj_x'), operand(1, 'adj_y')], {}, ctx.node.name));
};

const fusedBatchNorm: NodeConverter = (ctx) => {
  if (bool(ctx, 'is_training'))
    throw new UnsupportedNode('it normalizes by the batch (is_training): freeze the model for inference');
  const arrays = [1, 2, 3, 4].map((index) => plain(ctx, index));
  return imageResult(
    ctx,
    ctx.b.op(
      'BatchNormalization',
      [image(ctx, 0), ...arrays],
      { epsilon: { float: float(ctx, 'epsilon', 1e-4) } },
      ctx.node.name,
    ),
  );
};

const resize =
  (mode: 'linear' | 'nearest'): NodeConverter =>
  (ctx) => {
    const { b, node } = ctx;
    const x = image(ctx, 0);
    const corners = bool(ctx, 'align_corners');
    const centers = bool(ctx, 'half_pixel_centers');
    const channels = b.op('Shape', [x], { start: 0, end: 2 }, `${node.name}/channels`);
    const sizes = b.op('Concat', [channels, int64At(ctx, 1)], { axis: 0 }, `${node.name}/sizes`);
    const transformation = corners ? 'align_corners' : centers ? 'half_pixel' : 'asymmetric';
    const attributes: Record<string, AttributeValue> = { mode, coordinate_transformation_mode: transformation };
    if (mode === 'nearest')
      attributes['nearest_mode'] = corners ? 'round_prefer_ceil' : centers ? 'round_prefer_ceil' : 'floor';
    return imageResult(ctx, b.op('Resize', [x, '', '', sizes], attributes, node.name));
  };

export const LINEAR: Readonly<Record<string, NodeConverter>> = {
  Conv2D: conv(false),
  _FusedConv2D: conv(false),
  DepthwiseConv2dNative: conv(true),
  FusedDepthwiseConv2dNative: conv(true),
  Conv2DBackpropInput: convTranspose,
  MatMul: matMul,
  _FusedMatMul: matMul,
  BatchMatMul: batchMatMul,
  BatchMatMulV2: batchMatMul,
  BatchMatMulV3: batchMatMul,
  MaxPool: pool('MaxPool'),
  AvgPool: pool('AveragePool'),
  FusedBatchNorm: fusedBatchNorm,
  FusedBatchNormV2: fusedBatchNorm,
  FusedBatchNormV3: fusedBatchNorm,
  ResizeBilinear: resize('linear'),
  ResizeNearestNeighbor: resize('nearest'),
  Einsum: (ctx) =>
    plainValue(
      ctx.b.op(
        'Einsum',
        ctx.inputs.map((_, i) => plain(ctx, i)),
        { equation: string(ctx, 'equation', '') },
        ctx.node.name,
      ),
    ),
};
