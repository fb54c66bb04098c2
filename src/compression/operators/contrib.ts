/**
 * Operators of com.microsoft that exporters and onnxruntime's optimizer write: fused forms of standard ones, computed
 * as those are, and so differentiable. Those of attention are in `contrib-attention.ts`, those on codes in
 * `integer-contrib.ts`.
 */
import { GraphError } from '../ir/graph-error.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { gelu, hardSigmoid, leakyRelu } from './activation.ts';
import { convOperators } from './conv.ts';
import { convolution } from './channels/conv.ts';
import { elementwise } from './channels/elementwise.ts';
import { overLastAxes } from './channels/normalization.ts';
import { firstInput, FULL, ONNX_ORDER } from './define.ts';
import { gatherAxis } from './device/rows.ts';
import { matMul, matMulMacs, matMulOperators } from './matmul.ts';
import { rmsNorm } from './normalization.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, Value, WeightRole } from './operator.ts';
import { unpackBlocks } from './host/packed-blocks.ts';
import { sameType, shapeOf, typeOf } from './shapes.ts';

/** Activations that FusedConv and FusedGemm end with. */
const ACTIVATIONS: Readonly<Record<string, (x: TfTensor, parameters: readonly number[]) => TfTensor>> = {
  Relu: (x) => nn.relu(x),
  Sigmoid: (x) => tf.sigmoid(x),
  Tanh: (x) => tf.tanh(x),
  LeakyRelu: (x, [alpha = 0.01]) => leakyRelu(x, alpha),
  Clip: (x, [low = -Infinity, high = Infinity]) => nn.clip(x, low, high),
  HardSigmoid: (x, [alpha = 0.2, beta = 0.5]) => hardSigmoid(x, alpha, beta),
};

function activated(ctx: RunContext, x: TfTensor): TfTensor {
  const name = ctx.string('activation', '');
  if (name === '') return x;
  const activation = ACTIVATIONS[name];
  if (!activation) throw new GraphError(`activation "${name}" is not known`);
  return activation(x, ctx.floats('activation_params') ?? gemmParameters(ctx));
}

/** FusedGemm names its activation's parameters one by one. */
function gemmParameters(ctx: RunContext): number[] {
  return ['activation_alpha', 'activation_beta'].flatMap((name) => (ctx.attribute(name) ? [ctx.float(name, 0)] : []));
}

/**
 * A standard operator followed by an activation; FusedConv adds input 3 before the activation. onnxruntime has no
 * integer form of these.
 */
function fused(type: string, standard: Operator, addend: number | null, more: Partial<Operator> = {}): Operator {
  const { quantization: _float, ...base } = standard;
  return {
    ...base,
    type,
    domain: 'com.microsoft',
    device: (ctx) => {
      const [y] = base.device!(ctx) as [TfTensor];
      return [activated(ctx, addend !== null && ctx.has(addend) ? tf.add(y, ctx.tensor(addend)) : y)];
    },
    ...more,
  };
}

/**
 * input + skip (+ bias), normalized; output 3 is the sum. Outputs 1 and 2, where asked for: mean [..., 1] (0 without
 * centring) and inverse deviation.
 */
function skipNorm(
  ctx: RunContext,
  bias: number,
  centred: boolean,
  normalize: (x: TfTensor, epsilon: number) => TfTensor,
): TfTensor[] {
  const sum = tf.add(ctx.tensor(0), ctx.tensor(1));
  const whole = ctx.has(bias) ? tf.add(sum, ctx.tensor(bias)) : sum;
  const epsilon = ctx.float('epsilon', 1e-12);
  if (!ctx.node.outputs[1] && !ctx.node.outputs[2])
    return [normalize(whole, epsilon), tf.scalar(0), tf.scalar(0), whole];
  const axes = lastAxis(whole);
  const average = tf.mean(whole, axes, true);
  const mean = centred ? average : tf.zerosLike(average);
  const variance = tf.mean(tf.square(tf.sub(whole, mean)), axes, true);
  return [normalize(whole, epsilon), mean, tf.rsqrt(tf.add(variance, epsilon)), whole];
}

const skipTypes = (info: NodeInfo): Inferred[] => {
  const type = typeOf(info);
  const statistic: Inferred = { dtype: 'float32', shape: type.shape && [...type.shape.slice(0, -1), 1] };
  return [type, statistic, statistic, type];
};

const lastAxis = (x: TfTensor): number[] => [x.rank - 1];
const vector = (input: number, kind: WeightRole['kind']): WeightRole => ({ input, kind, outputAxis: () => 0 });

/**
 * Words, positions and segments [b, s] looked up and added, then normalized. Output 1: how many words of each sample
 * count.
 */
function embedNorm(ctx: RunContext): (TfTensor | Value)[] {
  const ids = tf.cast(ctx.tensor(0), 'int32');
  const [batch, length] = ids.shape as [number, number];
  const places = ctx.has(8)
    ? tf.cast(ctx.tensor(8), 'int32')
    : tf.tile(tf.reshape(tf.range(0, length, 1, 'int32'), [1, length]), [batch, 1]);
  const words = tf.add(gatherAxis(ctx.tensor(2), ids, 0), gatherAxis(ctx.tensor(3), places, 0));
  const sum =
    ctx.has(4) && ctx.has(1) ? tf.add(words, gatherAxis(ctx.tensor(4), tf.cast(ctx.tensor(1), 'int32'), 0)) : words;
  const y = nn.layerNorm(sum, ctx.tensor(5), ctx.tensor(6), lastAxis(sum), ctx.float('epsilon', 1e-12));
  const counts = ctx.has(7) ? tf.sum(tf.cast(ctx.tensor(7), 'int32'), 1) : tf.zeros([batch], 'int32');
  return [y, { kind: 'device', dtype: 'int32', tensor: counts }, sum];
}

function inferEmbedNorm(info: NodeInfo): Inferred[] {
  const ids = shapeOf(info);
  const type = { dtype: typeOf(info, 2).dtype, shape: ids && [...ids, shapeOf(info, 2)?.[1] ?? null] };
  return [type, { dtype: 'int32', shape: [ids?.[0] ?? null] }, type];
}

/** a [..., k] times weights [n, k] held in blocks of 2 to 8 bits along k. */
function matMulBits(ctx: RunContext): TfTensor[] {
  const [k, n, bits, block] = ['K', 'N', 'bits', 'block_size'].map((name) =>
    ctx.int(name, name === 'bits' ? 4 : 0),
  ) as [number, number, number, number];
  const zeros = ctx.has(3) ? ctx.host(3) : null;
  const kernel = unpackBlocks(
    {
      codes: hostNumbers(ctx.host(1)),
      scales: hostNumbers(ctx.host(2)),
      zeros: zeros && { values: hostNumbers(zeros), packed: zeros.dtype === 'uint8' },
      groups: ctx.has(4) ? ctx.hostInts(4) : null,
    },
    { k, n, bits, block },
  );
  const product = matMul(ctx.tensor(0), tf.tensor2d(kernel, [n, k]), false, true);
  return [ctx.has(5) ? tf.add(product, ctx.tensor(5)) : product];
}

function inferMatMulBits(info: NodeInfo): Inferred[] {
  const shape = shapeOf(info);
  return [{ dtype: typeOf(info).dtype, shape: shape && [...shape.slice(0, -1), info.int('N', 0)] }];
}

const common = { domain: 'com.microsoft', since: 1, layout: ONNX_ORDER, differentiability: FULL } as const;

export const contribOperators: readonly Operator[] = [
  fused('FusedConv', convOperators.find(({ type }) => type === 'Conv')!, 3, {
    layout: { kind: 'channels-last', inputs: [0, 3], outputs: [0] },
    channels: convolution(3),
  }),
  fused('FusedGemm', matMulOperators.find(({ type }) => type === 'Gemm')!, null),
  {
    ...common,
    type: 'BiasGelu',
    infer: sameType(),
    channels: elementwise,
    device: (ctx) => [gelu(tf.add(ctx.tensor(0), ctx.tensor(1)))],
  },
  {
    ...common,
    type: 'FastGelu',
    infer: sameType(),
    channels: elementwise,
    device: (ctx) => [gelu(ctx.has(1) ? tf.add(ctx.tensor(0), ctx.tensor(1)) : ctx.tensor(0), true)],
  },
  {
    ...common,
    type: 'SkipLayerNormalization',
    infer: skipTypes,
    channels: overLastAxes([2, 3, 4], [0, 1]),
    weights: [vector(2, 'scale'), vector(3, 'bias')],
    device: (ctx) =>
      skipNorm(ctx, 4, true, (x, epsilon) =>
        nn.layerNorm(x, ctx.tensor(2), ctx.has(3) ? ctx.tensor(3) : null, lastAxis(x), epsilon),
      ),
  },
  {
    ...common,
    type: 'SkipSimplifiedLayerNormalization',
    infer: skipTypes,
    channels: overLastAxes([2, 3], [0, 1]),
    weights: [vector(2, 'scale')],
    device: (ctx) => skipNorm(ctx, 3, false, (x, epsilon) => rmsNorm(x, ctx.tensor(2), lastAxis(x), epsilon)),
  },
  {
    ...common,
    type: 'SimplifiedLayerNormalization',
    domain: '',
    infer: sameType(),
    channels: overLastAxes([1]),
    weights: [vector(1, 'scale')],
    device: (ctx) => {
      const x = ctx.tensor(0);
      return [rmsNorm(x, ctx.tensor(1), lastAxis(x), ctx.float('epsilon', 1e-5))];
    },
  },
  {
    ...common,
    type: 'EmbedLayerNormalization',
    differentiability: firstInput(2, 3, 4, 5, 6),
    infer: inferEmbedNorm,
    device: embedNorm,
    weights: [
      ...[2, 3, 4].map((input): WeightRole => ({ input, kind: 'embedding' })),
      vector(5, 'scale'),
      vector(6, 'bias'),
    ],
  },
  {
    ...common,
    type: 'MatMulNBits',
    differentiability: firstInput(0, 5),
    infer: inferMatMulBits,
    device: matMulBits,
    macs: matMulMacs,
  },
];
