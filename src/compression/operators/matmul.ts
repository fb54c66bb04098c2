/** Matrix products: MatMul of any ranks, Gemm, and com.microsoft's FusedMatMul. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import type { DataType, Dim, TensorType } from '../ir/types.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { gemm, matrixProduct } from './channels/matmul.ts';
import { spread } from './device/elementwise.ts';
import { integerMatMul } from './integer-matmul.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import {
  broadcastShapes,
  isConcrete,
  productOf,
  requireRank,
  shapeOf,
  sizeOf,
  typeOf,
  unifyDim,
  type Shape,
} from './shapes.ts';

/** Shape of numpy.matmul: a missing axis of a vector is put in, and taken out of the result. */
export function matMulShape(a: Shape, b: Shape): Dim[] | null {
  if (!a || !b) return null;
  if (a.length === 0 || b.length === 0) throw new GraphError('a matrix product takes no scalars');
  const left = a.length === 1 ? [1, nth(a, 0)] : a;
  const right = b.length === 1 ? [nth(b, 0), 1] : b;
  unifyDim(nth(left, -1), nth(right, -2), 'inner dimensions');
  const batch = broadcastShapes(left.slice(0, -2), right.slice(0, -2))!;
  return [...batch, ...(a.length === 1 ? [] : [nth(left, -2)]), ...(b.length === 1 ? [] : [nth(right, -1)])];
}

/**
 * a [..., m, k] by b [..., k, n] with broadcast batch axes; vectors as in numpy. A matrix on the right takes all rows
 * of `a` at once: one large product instead of many small ones. tfjs's own gradient neither sums over broadcast axes
 * nor repeats beyond four, so operands are expanded first.
 */
export function matMul(a: TfTensor, b: TfTensor, transposeA = false, transposeB = false): TfTensor {
  if (a.rank === 1 || b.rank === 1) return vectorProduct(a, b, transposeA, transposeB);
  if (b.rank === 2 && !transposeA) {
    const rows = a.shape.slice(0, -1);
    const product = nn.matMul(a.rank === 2 ? a : tf.reshape(a, [sizeOf(rows), nth(a.shape, -1)]), b, false, transposeB);
    return a.rank === 2 ? product : tf.reshape(product, [...rows, nth(product.shape, 1)]);
  }
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2)) as number[];
  const product = tf.matMul(flatBatch(a, batch), flatBatch(b, batch), transposeA, transposeB);
  return batch.length === 1 ? product : tf.reshape(product, [...batch, ...product.shape.slice(-2)]);
}

function vectorProduct(a: TfTensor, b: TfTensor, transposeA: boolean, transposeB: boolean): TfTensor {
  const product = matMul(
    a.rank === 1 ? tf.expandDims(a, 0) : a,
    b.rank === 1 ? tf.expandDims(b, 1) : b,
    transposeA && a.rank > 1,
    transposeB && b.rank > 1,
  );
  const axes = [...(a.rank === 1 ? [product.rank - 2] : []), ...(b.rank === 1 ? [product.rank - 1] : [])];
  return tf.squeeze(product, axes);
}

/** [...batch', r, c] -> [product of batch, r, c]. */
function flatBatch(x: TfTensor, batch: readonly number[]): TfTensor {
  const full = [...batch, ...x.shape.slice(-2)];
  const expanded = x.shape.length === full.length && x.shape.every((dim, i) => dim === full[i]) ? x : spread(x, full);
  return batch.length === 1 ? expanded : tf.reshape(expanded, [sizeOf(batch), ...x.shape.slice(-2)]);
}

function inferMatMul(info: NodeInfo): Inferred[] {
  return [{ dtype: typeOf(info).dtype, shape: matMulShape(shapeOf(info, 0), shapeOf(info, 1)) }];
}

/** m * n * k for every matrix of the batch. */
export function matMulMacs(info: NodeInfo, outputs: readonly TensorType[]): number {
  const out = outputs[0]?.shape;
  const inner = shapeOf(info, 0)?.at(-1);
  return isConcrete(out) && typeof inner === 'number' ? sizeOf(out) * inner : 0;
}

const INTEGERS: ReadonlySet<DataType> = new Set<DataType>([
  'int32',
  'uint32',
  'int64',
  'uint64',
  'int8',
  'uint8',
  'int16',
  'uint16',
]);

function runMatMul(ctx: RunContext): (TfTensor | { kind: 'host'; value: ReturnType<typeof integerMatMul> })[] {
  if (INTEGERS.has(ctx.dtype(0)))
    return [{ kind: 'host', value: integerMatMul(ctx.host(0), ctx.host(1), ctx.dtype(0)) }];
  return [matMul(ctx.tensor(0), ctx.tensor(1))];
}

function inferGemm(info: NodeInfo): Inferred[] {
  const [a, b] = [shapeOf(info, 0), shapeOf(info, 1)];
  requireRank(a, 2, 'A', 2);
  requireRank(b, 2, 'B', 2);
  const [m, k] = info.int('transA', 0) ? [a?.[1], a?.[0]] : [a?.[0], a?.[1]];
  const [k2, n] = info.int('transB', 0) ? [b?.[1], b?.[0]] : [b?.[0], b?.[1]];
  unifyDim(k ?? null, k2 ?? null, 'inner dimensions');
  return [{ dtype: typeOf(info).dtype, shape: [m ?? null, n ?? null] }];
}

/** alpha * A' * B' + beta * C. */
function runGemm(ctx: RunContext): TfTensor[] {
  const product = nn.matMul(ctx.tensor(0), ctx.tensor(1), ctx.int('transA', 0) === 1, ctx.int('transB', 0) === 1);
  const scaled = times(product, ctx.float('alpha', 1));
  const beta = ctx.float('beta', 1);
  if (!ctx.has(2) || beta === 0) return [scaled];
  const bias = times(ctx.tensor(2), beta);
  const isVector = bias.rank === 1 && bias.shape[0] === scaled.shape[1] && bias.dtype === 'float32';
  return [isVector ? nn.biasAdd(scaled, bias) : tf.add(scaled, bias)];
}

function times(x: TfTensor, factor: number): TfTensor {
  return factor === 1 ? x : tf.mul(x, factor);
}

/** m * n * k. */
export function gemmMacs(info: NodeInfo, outputs: readonly TensorType[]): number {
  const size = productOf([...(outputs[0]?.shape ?? [null]), shapeOf(info, 0)?.[info.int('transA', 0) ? 0 : 1] ?? null]);
  return typeof size === 'number' ? size : 0;
}

/** [m, ...batch, k] -> [...batch, m, k], as `transBatchA` and `transBatchB` ask for. */
function batchFirst<T>(axes: readonly T[]): T[] {
  return axes.length < 3 ? [...axes] : [...axes.slice(1, -1), nth(axes, 0), nth(axes, -1)];
}

/** alpha * A' * B'. */
function runFusedMatMul(ctx: RunContext): TfTensor[] {
  const [a, b] = ['transBatchA', 'transBatchB'].map((name, i) => {
    const x = ctx.tensor(i);
    return ctx.int(name, 0) ? tf.transpose(x, batchFirst(x.shape.map((_, axis) => axis))) : x;
  }) as [TfTensor, TfTensor];
  return [times(matMul(a, b, ctx.int('transA', 0) === 1, ctx.int('transB', 0) === 1), ctx.float('alpha', 1))];
}

function inferFusedMatMul(info: NodeInfo): Inferred[] {
  const moved = (shape: Shape, flag: number): Shape => (flag && shape ? batchFirst(shape) : shape);
  const flip = (shape: Shape, flag: number): Shape =>
    flag && shape && shape.length > 1 ? [...shape.slice(0, -2), nth(shape, -1), nth(shape, -2)] : shape;
  return [
    {
      dtype: typeOf(info).dtype,
      shape: matMulShape(
        flip(moved(shapeOf(info, 0), info.int('transBatchA', 0)), info.int('transA', 0)),
        flip(moved(shapeOf(info, 1), info.int('transBatchB', 0)), info.int('transB', 0)),
      ),
    },
  ];
}

/** An operand's axes as they enter the product. */
function turned({ info }: { readonly info: NodeInfo }, operand: 0 | 1): <T>(axes: readonly T[]) => T[] {
  const [batch, flip] = operand === 0 ? (['transBatchA', 'transA'] as const) : (['transBatchB', 'transB'] as const);
  return (axes) => {
    const moved = info.int(batch, 0) ? batchFirst(axes) : [...axes];
    return info.int(flip, 0) ? [...moved.slice(0, -2), nth(moved, -1), nth(moved, -2)] : moved;
  };
}

/** The weight of a product of the last axes: its columns are the outputs. */
const matrix = {
  input: 1,
  kind: 'kernel',
  outputAxis: (info: NodeInfo) => Math.max(0, (shapeOf(info, 1)?.length ?? 2) - 1),
} as const;
const common = { since: 1, layout: { kind: 'onnx' }, differentiability: { kind: 'full' } } as const;

export const matMulOperators: readonly Operator[] = [
  {
    ...common,
    type: 'MatMul',
    domain: '',
    infer: inferMatMul,
    device: runMatMul,
    weights: [matrix],
    macs: matMulMacs,
    channels: matrixProduct(),
    quantization: { kind: 'compute', activations: [0, 1], kernel: 1, bias: null },
  },
  {
    ...common,
    type: 'Gemm',
    domain: '',
    infer: inferGemm,
    device: runGemm,
    macs: gemmMacs,
    channels: gemm,
    weights: [
      { input: 1, kind: 'kernel', outputAxis: (info) => (info.int('transB', 0) ? 0 : 1) },
      { input: 2, kind: 'bias', outputAxis: (info) => Math.max(0, (shapeOf(info, 2)?.length ?? 1) - 1) },
    ],
    quantization: { kind: 'compute', activations: [0], kernel: 1, bias: 2 },
  },
  {
    ...common,
    type: 'FusedMatMul',
    domain: 'com.microsoft',
    infer: inferFusedMatMul,
    device: runFusedMatMul,
    weights: [matrix],
    macs: matMulMacs,
    channels: matrixProduct(turned),
  },
];
