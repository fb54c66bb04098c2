/**
 * com.microsoft's operators on 8-bit codes, as onnxruntime's quantizer and optimizer write them: codes are decoded, the
 * result is computed in float32 and rounded to codes again. Products are exact sums of integers, as in
 * `integer-compute.ts`.
 */
import { nth } from '../ir/checked-access.ts';
import { LatheError } from '../../errors.ts';
import type { Dim } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { leakyRelu } from './activation.ts';
import { ONNX_ORDER, ZERO } from './define.ts';
import { fromChannelsLast, toChannelsLast } from './device/layouts.ts';
import { along, centred, exactSum, floatSum, requantize } from './integer-compute.ts';
import { joinedShape } from './join-split.ts';
import { gemmMacs, matMul, matMulMacs, matMulShape } from './matmul.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, Value } from './operator.ts';
import { averagePool, inferGlobal, inferPool } from './pool.ts';
import { dynamicCodes } from './quantized.ts';
import { broadcastShapes, requireRank, resolveAxis, shapeOf, typeOf } from './shapes.ts';
import { softmaxAt } from './softmax.ts';

const float = (ctx: RunContext, input: number): TfTensor => tf.cast(ctx.tensor(input), 'float32');
/** A scale: one for all, or one per element of an axis of the operand. */
const scaleFor = (ctx: RunContext, input: number, operand: TfTensor, axis: number): TfTensor =>
  along(float(ctx, input), operand, axis);

/** (codes - zero point) * scale of inputs `first`, `first + 2` and `first + 1`. */
function decoded(ctx: RunContext, first: number): TfTensor {
  const codes = centred(ctx, first, first + 2, 0);
  return tf.mul(codes, scaleFor(ctx, first + 1, codes, 0));
}

type Compute = (operands: TfTensor[], ctx: RunContext) => TfTensor;

/** Operands as (codes, scale, zero point), then the result's scale and zero point. */
function coded(
  type: string,
  operands: 1 | 2,
  shape: (info: NodeInfo) => readonly Dim[] | null,
  compute: Compute,
): Operator {
  return {
    ...common,
    type,
    infer: (info) => [{ dtype: typeOf(info).dtype, shape: shape(info) }],
    device: (ctx) =>
      withoutTape(() => {
        const real = compute(
          Array.from({ length: operands }, (_, i) => decoded(ctx, 3 * i)),
          ctx,
        );
        return [requantize(ctx, real, 3 * operands, 3 * operands + 1, ctx.dtype(0))];
      }),
  };
}

const unary = (type: string, compute: (x: TfTensor, ctx: RunContext) => TfTensor): Operator =>
  coded(
    type,
    1,
    (info) => shapeOf(info),
    ([x], ctx) => compute(x!, ctx),
  );
const binary = (type: string, compute: (a: TfTensor, b: TfTensor) => TfTensor): Operator =>
  coded(
    type,
    2,
    (info) => broadcastShapes(shapeOf(info, 0), shapeOf(info, 3)),
    ([a, b]) => compute(a!, b!),
  );

const lastChannels = (info: NodeInfo): boolean => info.int('channels_last', 0) === 1;

function pooled(x: TfTensor, ctx: RunContext): TfTensor {
  if (lastChannels(ctx))
    throw new LatheError(
      'unsupported-operator',
      'QLinearAveragePool with channels_last is not computed by the training engine',
    );
  return fromChannelsLast(averagePool(ctx, toChannelsLast(x)));
}

function globalPooled(x: TfTensor, ctx: RunContext): TfTensor {
  return tf.mean(x, spatialAxes(x.shape, ctx), true);
}

function inferGlobalPool(info: NodeInfo): readonly Dim[] | null {
  const shape = shapeOf(info);
  if (!lastChannels(info)) return inferGlobal(info)[0].shape;
  return shape && shape.map((dim, i) => (spatialAxes(shape, info).includes(i) ? 1 : dim));
}

function spatialAxes(shape: readonly Dim[], info: NodeInfo): number[] {
  return shape.slice(2).map((_, i) => i + (lastChannels(info) ? 1 : 2));
}

/** Inputs: the result's scale and zero point, then each part's codes, scale and zero point. */
function concat(ctx: RunContext): Value[] {
  return withoutTape(() => {
    const parts = partsOf(ctx).map((first) => decoded(ctx, first));
    return [requantize(ctx, tf.concat(parts, resolveAxis(ctx.int('axis', 0), nth(parts, 0).rank)), 0, 1, ctx.dtype(2))];
  });
}

/** Where each part of a QLinearConcat begins among the inputs. */
function partsOf(info: NodeInfo): number[] {
  return Array.from({ length: Math.floor((info.node.inputs.length - 2) / 3) }, (_, i) => 2 + 3 * i);
}

/** alpha * (a' b' + c) in units of both scales; as floats where there is no scale for the result. */
function gemm(ctx: RunContext): (TfTensor | Value)[] {
  const [transA, transB] = [ctx.int('transA', 0) === 1, ctx.int('transB', 0) === 1];
  return withoutTape(() => {
    const [a, b] = [centred(ctx, 0, 2, transA ? 1 : 0), centred(ctx, 3, 5, transB ? 0 : 1)];
    const sums = floatSum(b, (half) => matMul(a, half, transA, transB));
    const biased = ctx.has(6) ? tf.add(sums, float(ctx, 6)) : sums;
    const scales = tf.mul(tf.mul(scaleFor(ctx, 1, sums, 0), scaleFor(ctx, 4, sums, 1)), ctx.float('alpha', 1));
    const real = tf.mul(biased, scales);
    return [ctx.has(7) ? requantize(ctx, real, 7, 8, ctx.dtype(0)) : real];
  });
}

function inferGemm(info: NodeInfo): Inferred[] {
  const [a, b] = [shapeOf(info, 0), shapeOf(info, 3)];
  requireRank(a, 2, 'A', 2);
  requireRank(b, 2, 'B', 2);
  const shape = [a?.[info.int('transA', 0) ? 1 : 0] ?? null, b?.[info.int('transB', 0) ? 0 : 1] ?? null];
  return [{ dtype: info.types[7] ? typeOf(info).dtype : 'float32', shape }];
}

/** a b * scale of a * scale of b (+ bias), of integers. */
function scaledProduct(
  ctx: RunContext,
  a: TfTensor,
  scale: TfTensor,
  inputs: { scale: number; zero: number; bias: number },
): TfTensor {
  const product = withoutTape(() => {
    const sums = tf.cast(
      exactSum(centred(ctx, 1, inputs.zero, -1), (b) => matMul(a, b)),
      'float32',
    );
    return tf.mul(sums, tf.mul(scale, scaleFor(ctx, inputs.scale, sums, -1)));
  });
  return ctx.has(inputs.bias) ? tf.add(product, ctx.tensor(inputs.bias)) : product;
}

function matMulIntegerToFloat(ctx: RunContext): TfTensor[] {
  const a = centred(ctx, 0, 4, -2);
  return [scaledProduct(ctx, a, scaleFor(ctx, 2, a, -2), { scale: 3, zero: 5, bias: 6 })];
}

/** The left side is rounded to codes of its own range first. */
function dynamicMatMul(ctx: RunContext): TfTensor[] {
  const { codes, scale, zero } = dynamicCodes(ctx.tensor(0));
  const a = tf.cast(tf.sub(codes, zero), 'float32');
  return [scaledProduct(ctx, a, scale, { scale: 2, zero: 3, bias: 4 })];
}

const inferFloatProduct = (info: NodeInfo): Inferred[] => [
  { dtype: 'float32', shape: matMulShape(shapeOf(info, 0), shapeOf(info, 1)) },
];

const common = { domain: 'com.microsoft', since: 1, layout: ONNX_ORDER, differentiability: ZERO } as const;

export const integerContribOperators: readonly Operator[] = [
  binary('QLinearAdd', (a, b) => tf.add(a, b)),
  binary('QLinearMul', (a, b) => tf.mul(a, b)),
  unary('QLinearSigmoid', (x) => tf.sigmoid(x)),
  unary('QLinearLeakyRelu', (x, ctx) => leakyRelu(x, ctx.float('alpha', 0.01))),
  unary('QLinearSoftmax', (x, ctx) => softmaxAt(ctx.int('opset', 13), x, ctx.int('axis', -1))),
  coded(
    'QLinearAveragePool',
    1,
    (info) => (lastChannels(info) ? null : inferPool(info)[0].shape),
    ([x], ctx) => pooled(x!, ctx),
  ),
  coded('QLinearGlobalAveragePool', 1, inferGlobalPool, ([x], ctx) => globalPooled(x!, ctx)),
  {
    ...common,
    type: 'QLinearConcat',
    device: concat,
    infer: (info) => [
      {
        dtype: typeOf(info, 2).dtype,
        shape: joinedShape(
          partsOf(info).map((first) => shapeOf(info, first)),
          info.int('axis', 0),
        ),
      },
    ],
  },
  { ...common, type: 'QGemm', infer: inferGemm, device: gemm, macs: gemmMacs },
  { ...common, type: 'MatMulIntegerToFloat', infer: inferFloatProduct, device: matMulIntegerToFloat, macs: matMulMacs },
  { ...common, type: 'DynamicQuantizeMatMul', infer: inferFloatProduct, device: dynamicMatMul, macs: matMulMacs },
];
