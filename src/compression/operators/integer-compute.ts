/**
 * Products and convolutions of integers: ConvInteger, MatMulInteger, and QLinearMatMul and QLinearConv, which scale and
 * round the sums. Sums are exact: products of 8-bit codes are added in float32 kernels, which hold integers up to 2^24,
 * the kernel's codes in two halves of 4 bits.
 */
import type { DataType } from '../ir/types.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { convMacs, convShape, kernelLayout } from './conv.ts';
import { ONNX_ORDER, ZERO } from './define.ts';
import { integerRange } from './host/data.ts';
import { matMul, matMulMacs, matMulShape } from './matmul.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, Value } from './operator.ts';
import { shapeOf, typeOf } from './shapes.ts';
import { fromChannelsLast, toChannelsLast } from './device/layouts.ts';
import { padsOf, windowOf } from './window.ts';

/**
 * Codes minus zero point, as floats; a zero point per row of `a` [..., m, k], per column of `b` [..., k, n] or per
 * channel lies along `axis`.
 */
export function centred(ctx: RunContext, input: number, zero: number, axis: number): TfTensor {
  const codes = tf.cast(ctx.tensor(input), 'float32');
  if (!ctx.has(zero)) return codes;
  return tf.sub(codes, along(tf.cast(ctx.tensor(zero), 'float32'), codes, axis));
}

/** One value for all, one per element of an axis, or already of the operand's rank. */
export function along(values: TfTensor, operand: TfTensor, axis: number): TfTensor {
  if (values.rank > 1) return values;
  if (values.size === 1) return tf.reshape(values, []);
  const at = axis < 0 ? axis + operand.rank : axis;
  return tf.reshape(
    values,
    operand.shape.map((_, i) => (i === at ? values.size : 1)),
  );
}

/** compute(kernel) for kernels of integers in [-255, 255], exact while sums of 16ths do not pass 2^24. */
function inHalves(kernel: TfTensor, compute: (kernel: TfTensor) => TfTensor): { high: TfTensor; low: TfTensor } {
  const high = tf.floor(tf.div(kernel, 16));
  return { high: compute(high), low: compute(tf.sub(kernel, tf.mul(high, 16))) };
}

export function exactSum(kernel: TfTensor, compute: (kernel: TfTensor) => TfTensor): TfTensor {
  const { high, low } = inHalves(kernel, compute);
  return tf.add(tf.mul(tf.cast(high, 'int32'), tf.scalar(16, 'int32')), tf.cast(low, 'int32'));
}

/** float32 suffices: the results are rounded to 8 bits afterwards. */
export const floatSum = (kernel: TfTensor, compute: (kernel: TfTensor) => TfTensor): TfTensor => {
  const { high, low } = inHalves(kernel, compute);
  return tf.add(tf.mul(high, 16), low);
};

type Sum = typeof exactSum;

function convolve(ctx: RunContext, kernel: TfTensor, weight: number, sum: Sum): TfTensor {
  const dims = ctx.dims(weight);
  const window = windowOf(ctx, dims.slice(2));
  const pads = padsOf(ctx, window, ctx.dims(0).slice(2));
  const image = toChannelsLast(centred(ctx, 0, 2, 0));
  return fromChannelsLast(
    sum(tf.transpose(kernel, kernelLayout(dims.length)), (half) =>
      nn.conv(image, half, { strides: window.strides, dilations: window.dilations, pads, groups: ctx.int('group', 1) }),
    ),
  );
}

/** round(real / scale) + zero point (absent: 0), saturated. */
export function requantize(
  ctx: RunContext,
  real: TfTensor,
  scale: number,
  zero: number,
  dtype = ctx.dtype(zero),
): Value {
  const [low, high] = integerRange(dtype);
  const codes = tf.round(tf.div(real, along(tf.cast(ctx.tensor(scale), 'float32'), real, -1)));
  const shifted = ctx.has(zero) ? tf.add(codes, along(tf.cast(ctx.tensor(zero), 'float32'), real, -1)) : codes;
  return { kind: 'device', dtype, tensor: tf.cast(tf.clipByValue(shifted, low, high), 'int32') };
}

function matMulInteger(ctx: RunContext): Value[] {
  const tensor = withoutTape(() => exactSum(centred(ctx, 1, 3, -1), (b) => matMul(centred(ctx, 0, 2, -2), b)));
  return [{ kind: 'device', dtype: 'int32', tensor }];
}

function convInteger(ctx: RunContext): Value[] {
  const tensor = withoutTape(() => convolve(ctx, centred(ctx, 1, 3, 0), 1, exactSum));
  return [{ kind: 'device', dtype: 'int32', tensor }];
}

/** Inputs: a, its scale and zero point; b, its; y's. */
function qLinearMatMul(ctx: RunContext): Value[] {
  return withoutTape(() => {
    const a = centred(ctx, 0, 2, -2);
    const sums = floatSum(centred(ctx, 3, 5, -1), (b) => matMul(a, b));
    const scales = tf.mul(
      along(tf.cast(ctx.tensor(1), 'float32'), sums, -2),
      along(tf.cast(ctx.tensor(4), 'float32'), sums, -1),
    );
    return [requantize(ctx, tf.mul(sums, scales), 6, 7)];
  });
}

/**
 * Inputs: x, its scale and zero point; w, its (per output channel where they are several); y's; a bias in int32 of
 * scale x's times w's.
 */
function qLinearConv(ctx: RunContext): Value[] {
  return withoutTape(() => {
    const sums = convolve(ctx, centred(ctx, 3, 5, 0), 3, floatSum);
    const biased = ctx.has(8) ? tf.add(sums, along(tf.cast(ctx.tensor(8), 'float32'), sums, 1)) : sums;
    const scales = tf.mul(tf.cast(ctx.tensor(1), 'float32'), along(tf.cast(ctx.tensor(4), 'float32'), sums, 1));
    return [requantize(ctx, tf.mul(biased, scales), 6, 7)];
  });
}

const inferProduct =
  (dtype: (info: NodeInfo) => DataType, b: number) =>
  (info: NodeInfo): Inferred[] => [{ dtype: dtype(info), shape: matMulShape(shapeOf(info, 0), shapeOf(info, b)) }];

const common = { domain: '', since: 10, layout: ONNX_ORDER, differentiability: ZERO } as const;

export const integerComputeOperators: readonly Operator[] = [
  { ...common, type: 'MatMulInteger', infer: inferProduct(() => 'int32', 1), device: matMulInteger, macs: matMulMacs },
  {
    ...common,
    type: 'ConvInteger',
    infer: (info) => [{ dtype: 'int32', shape: convShape(info) }],
    device: convInteger,
    macs: (info, outputs) => convMacs(info, outputs[0]?.shape),
  },
  {
    ...common,
    type: 'QLinearMatMul',
    infer: inferProduct((info) => typeOf(info, 7).dtype, 3),
    device: qLinearMatMul,
    macs: matMulMacs,
  },
  {
    ...common,
    type: 'QLinearConv',
    infer: (info) => [{ dtype: typeOf(info, 7).dtype, shape: convShape(info, 3) }],
    device: qLinearConv,
    macs: (info, outputs) => convMacs(info, outputs[0]?.shape, 3),
  },
];
