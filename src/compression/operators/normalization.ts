/** Normalizations: over the batch, over features, over positions, over groups and across channels. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { ofFirst } from './channels/elementwise.ts';
import { groupNormalization, overLastAxes, perChannel } from './channels/normalization.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, WeightRole } from './operator.ts';
import { rootOf } from './root.ts';
import { requireRank, resolveAxis, sameType, typeOf } from './shapes.ts';

const image = { kind: 'channels-last', inputs: [0], outputs: [0] } as const;
const full = { kind: 'full' } as const;

/**
 * y = (x - mean) / sqrt(variance + epsilon) * scale + bias per channel; statistics of the batch while training (Ioffe
 * and Szegedy, 2015). `after` is applied to y.
 */
export function batchNorm(ctx: RunContext, after: nn.AfterBatchNorm = {}): TfTensor[] {
  const epsilon = ctx.float('epsilon', 1e-5);
  const [x, scale, bias, mean, variance] = [0, 1, 2, 3, 4].map((input) => ctx.tensor(input)) as [
    TfTensor,
    TfTensor,
    TfTensor,
    TfTensor,
    TfTensor,
  ];
  if (!ctx.training && !trainingMode(ctx))
    return [nn.afterBatchNorm(nn.batchNormInference(x, scale, bias, mean, variance, epsilon), after)];
  const batch = normalizeBatch(ctx, [x, scale, bias], epsilon, after);
  const momentum = ctx.float('momentum', 0.9);
  const running = (old: TfTensor, now: TfTensor): TfTensor => tf.add(tf.mul(old, momentum), tf.mul(now, 1 - momentum));
  const means = running(mean, batch.mean);
  const variances = running(variance, batch.variance);
  ctx.updateState(3, means);
  ctx.updateState(4, variances);
  return [batch.y, means, variances, batch.mean, batch.variance];
}

/** By the statistics of this process's batch, or of the batch that replicas share. */
function normalizeBatch(
  { sharedBatch }: RunContext,
  [x, scale, bias]: readonly [TfTensor, TfTensor, TfTensor],
  epsilon: number,
  after: nn.AfterBatchNorm,
): ReturnType<typeof nn.batchNormTraining> {
  if (!sharedBatch) return nn.batchNormTraining(x, scale, bias, epsilon, after);
  const isPlainSum = !after.shortcut || after.shortcut.shape.join() === x.shape.join();
  if (isPlainSum) return nn.sharedBatchNorm(x, scale, bias, epsilon, after, sharedBatch);
  const plain = nn.sharedBatchNorm(x, scale, bias, epsilon, {}, sharedBatch);
  return { ...plain, y: nn.afterBatchNorm(plain.y, after) };
}

/**
 * The model itself asks for the batch's statistics: by an attribute up to opset 6 and since 14, in between by naming
 * the outputs that hold them.
 */
function trainingMode(info: NodeInfo): boolean {
  if (info.opset < 7) return info.int('is_test', 0) === 0;
  return info.opset >= 14 ? info.int('training_mode', 0) === 1 : info.node.outputs.slice(1).some((name) => name !== '');
}

function inferBatchNorm(info: NodeInfo): Inferred[] {
  if (info.opset < 9 && info.int('spatial', 1) === 0)
    throw new GraphError('BatchNormalization with spatial=0 is not supported');
  const { dtype, shape } = typeOf(info);
  requireRank(shape, 2, 'the input');
  const statistics = { dtype: typeOf(info, 3).dtype, shape: [shape?.[1] ?? null] };
  return [{ dtype, shape }, statistics, statistics, statistics, statistics];
}

/** Axes from `axis` to the last, in ONNX order. */
function axesFrom(ctx: RunContext, rank: number): number[] {
  const first = resolveAxis(ctx.int('axis', -1), rank);
  return Array.from({ length: rank - first }, (_, i) => first + i);
}

/** Ba, Kiros and Hinton, 2016; outputs 1 and 2 are the mean and the reciprocal deviation. */
function runLayerNorm(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const axes = axesFrom(ctx, x.rank);
  const epsilon = ctx.float('epsilon', 1e-5);
  const y = nn.layerNorm(x, ctx.tensor(1), ctx.has(2) ? ctx.tensor(2) : null, axes, epsilon);
  if (ctx.node.outputs.length < 2) return [y];
  const { mean, variance } = tf.moments(x, axes, true);
  return [y, mean, tf.rsqrt(tf.add(variance, epsilon))];
}

function inferLayerNorm(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  const first = shape && resolveAxis(info.int('axis', -1), shape.length);
  const reduced = { dtype: 'float32', shape: shape && shape.map((dim, i) => (i >= first! ? 1 : dim)) } as const;
  return [{ dtype, shape }, reduced, reduced];
}

/** x / sqrt(mean(x^2) + epsilon) * scale (Zhang and Sennrich, 2019). */
export function rmsNorm(x: TfTensor, scale: TfTensor | null, axes: readonly number[], epsilon: number): TfTensor {
  const y = tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), [...axes], true), epsilon)));
  return scale ? tf.mul(y, scale) : y;
}

/** Each sample and channel over its positions (Ulyanov et al., 2016); x [n, ..., c]. */
function runInstanceNorm(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const axes = x.shape.slice(2).map((_, i) => i + 1);
  return [nn.layerNorm(x, ctx.tensor(1), ctx.tensor(2), axes, ctx.float('epsilon', 1e-5))];
}

/**
 * Groups of channels with all their positions (Wu and He, 2018); x [n, ..., c]. Scale and bias: one per group at opset
 * 18, per channel since.
 */
function runGroupNorm(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const channels = nth(x.shape, -1);
  const groups = ctx.int('num_groups', 1);
  const split = tf.reshape(x, [nth(x.shape, 0), -1, groups, channels / groups]);
  const perChannel = (input: number): TfTensor =>
    tf.reshape(ctx.tensor(input), ctx.opset < 21 ? [groups, 1] : [groups, channels / groups]);
  return [tf.reshape(nn.layerNorm(split, perChannel(1), perChannel(2), [1, 3], ctx.float('epsilon', 1e-5)), x.shape)];
}

function inferGroupNorm(info: NodeInfo): Inferred[] {
  const type = typeOf(info);
  requireRank(type.shape, 3, 'the input');
  const channels = type.shape?.[1];
  const groups = info.int('num_groups', 0);
  if (groups < 1 || (typeof channels === 'number' && channels % groups !== 0))
    throw new GraphError(`${channels ?? 'the'} channels cannot be split into ${groups} groups`);
  return [type];
}

/**
 * Local response normalization (Krizhevsky et al., 2012): x / (bias + alpha / size * sum of squares of `size`
 * neighbouring channels)^beta; x [n, ..., c].
 */
function runLrn(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const size = ctx.int('size', 1);
  const squares = tf.reshape(tf.square(x), [-1, nth(x.shape, -1), 1]);
  const pads = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
  const mean = tf.reshape(nn.averagePool(squares, { kernel: [size], pads, countIncludePad: true }), x.shape);
  const base = tf.add(tf.mul(mean, ctx.float('alpha', 1e-4)), ctx.float('bias', 1));
  return [tf.mul(x, tf.exp(tf.mul(tf.log(base), -ctx.float('beta', 0.75))))];
}

/** x / norm along an axis; a vector of zeros gives NaN, as the standard's own test has it. */
function runLpNorm(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const axis = ctx.axis(ctx.int('axis', -1), x.rank);
  const p = ctx.int('p', 2);
  if (p !== 1 && p !== 2) throw new GraphError(`norms of order ${p} are not defined (1 and 2 are)`);
  const norm = rootOf(tf.sum(p === 1 ? tf.abs(x) : tf.square(x), axis, true), p);
  const zero = withoutTape(() => tf.equal(norm, 0)); // a vector of zeros stays zero
  return [tf.div(x, tf.where(zero, tf.onesLike(norm), norm))];
}

/** (x - mean) / deviation over `axes`. */
function runMeanVariance(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const axes = (ctx.ints('axes') ?? [0, 2, 3]).map((axis) => ctx.axis(axis, x.rank));
  const { mean, variance } = tf.moments(x, axes, true);
  return [tf.div(tf.sub(x, mean), tf.add(rootOf(variance, 2), 1e-9))];
}

function vector(input: number, kind: WeightRole['kind']): WeightRole {
  return { input, kind, outputAxis: () => 0 };
}

const scaleAndBias = [vector(1, 'scale'), vector(2, 'bias')];
const common = { domain: '', since: 1, differentiability: full } as const;
/** Normalization has no multiply-accumulates; its other costs are not counted. */
export const normalizationOperators: readonly Operator[] = [
  {
    ...common,
    type: 'BatchNormalization',
    layout: image,
    infer: inferBatchNorm,
    device: (ctx) => batchNorm(ctx),
    channels: perChannel(1, 2, 3, 4),
    differentiability: { kind: 'inputs', inputs: [0, 1, 2] },
    weights: [...scaleAndBias, vector(3, 'running-mean'), vector(4, 'running-variance')],
  },
  {
    ...common,
    type: 'LayerNormalization',
    layout: { kind: 'onnx' },
    infer: inferLayerNorm,
    device: runLayerNorm,
    weights: scaleAndBias,
    channels: overLastAxes([1, 2]),
  },
  {
    ...common,
    type: 'RMSNormalization',
    layout: { kind: 'onnx' },
    infer: sameType(),
    weights: [vector(1, 'scale')],
    channels: overLastAxes([1]),
    device: (ctx) => [
      rmsNorm(ctx.tensor(0), ctx.tensor(1), axesFrom(ctx, ctx.dims(0).length), ctx.float('epsilon', 1e-5)),
    ],
  },
  {
    ...common,
    type: 'InstanceNormalization',
    layout: image,
    infer: sameType(),
    device: runInstanceNorm,
    weights: scaleAndBias,
    channels: perChannel(1, 2),
  },
  {
    ...common,
    type: 'GroupNormalization',
    since: 18,
    layout: image,
    infer: inferGroupNorm,
    device: runGroupNorm,
    weights: scaleAndBias,
    channels: groupNormalization,
  },
  { ...common, type: 'LRN', layout: image, infer: sameType(), device: runLrn, channels: perChannel() },
  {
    ...common,
    type: 'LpNormalization',
    layout: { kind: 'follows' },
    infer: sameType(),
    device: runLpNorm,
    channels: ofFirst,
  },
  {
    ...common,
    type: 'MeanVarianceNormalization',
    layout: { kind: 'follows' },
    infer: sameType(),
    device: runMeanVariance,
    channels: ofFirst,
  },
];
