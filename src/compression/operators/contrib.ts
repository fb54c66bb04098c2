/**
 * Operators of com.microsoft that exporters and onnxruntime's optimizer write: fused forms of standard ones, computed as those are, and so
 * differentiable. Forms with caches or packed masks are left to onnxruntime.
 */
import { LatheError } from '../../errors.ts';
import { GraphError } from '../graph/graph-error.ts';
import { hostNumbers } from '../graph/tensor-data.ts';
import type { Dim } from '../graph/types.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { gelu, hardSigmoid, leakyRelu } from './activation.ts';
import { causalBias, maskBias, mergeHeads, splitHeads } from './attention.ts';
import { convOperators } from './conv.ts';
import { firstInput, FULL, ONNX_ORDER } from './define.ts';
import { gatherAxis } from './device/rows.ts';
import { matMul, matMulMacs, matMulOperators } from './matmul.ts';
import { rmsNorm } from './normalization.ts';
import type { Inferred, NodeInfo, Operator, RunContext, Value, WeightRole } from './operator.ts';
import { unpackBlocks } from './host/packed-blocks.ts';
import { sameType, shapeOf, typeOf } from './shapes.ts';

const refuse = (what: string): never => { throw new LatheError('unsupported-operator', `${what} is not computed by the training engine`); };

/** Activations that FusedConv and FusedGemm end with. */
const ACTIVATIONS: Readonly<Record<string, (x: TfTensor, parameters: readonly number[]) => TfTensor>> = {
  Relu: (x) => nn.relu(x),
  Sigmoid: (x) => tf.sigmoid(x),
  Tanh: (x) => tf.tanh(x),
  LeakyRelu: (x, [alpha = 0.01]) => leakyRelu(x, alpha),
  Clip: (x, [low = -Infinity, high = Infinity]) => tf.clipByValue(x, low, high),
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

/** A standard operator with an activation behind it; of FusedConv, input 3 is added in between. onnxruntime has no integer form of these. */
function fused(type: string, standard: Operator, addend: number | null, layout = standard.layout): Operator {
  const { quantization: _float, ...base } = standard;
  return {
    ...base, type, layout, domain: 'com.microsoft',
    device: (ctx) => {
      const [y] = base.device!(ctx) as [TfTensor];
      return [activated(ctx, addend !== null && ctx.has(addend) ? tf.add(y, ctx.tensor(addend)) : y)];
    },
  };
}

/** input + skip (+ bias), normalized; output 3 is the sum. Outputs 1 and 2 hold statistics that only training kernels fill. */
function skipNorm(ctx: RunContext, bias: number, normalize: (x: TfTensor) => TfTensor): TfTensor[] {
  const sum = tf.add(ctx.tensor(0), ctx.tensor(1));
  const whole = ctx.has(bias) ? tf.add(sum, ctx.tensor(bias)) : sum;
  const none = tf.scalar(0);
  return [normalize(whole), none, none, whole];
}

const skipTypes = (info: NodeInfo): Inferred[] => {
  const type = typeOf(info);
  return [type, { dtype: 'float32', shape: null }, { dtype: 'float32', shape: null }, type];
};

const lastAxis = (x: TfTensor): number[] => [x.rank - 1];
const vector = (input: number, kind: WeightRole['kind']): WeightRole => ({ input, kind, outputAxis: () => 0 });

/** Words, positions and segments [b, s] looked up and added, then normalized. Output 1: how many words of each sample count. */
function embedNorm(ctx: RunContext): (TfTensor | Value)[] {
  const ids = tf.cast(ctx.tensor(0), 'int32');
  const [batch, length] = ids.shape as [number, number];
  const places = ctx.has(8) ? tf.cast(ctx.tensor(8), 'int32') : tf.tile(tf.reshape(tf.range(0, length, 1, 'int32'), [1, length]), [batch, 1]);
  const words = tf.add(gatherAxis(ctx.tensor(2), ids, 0), gatherAxis(ctx.tensor(3), places, 0));
  const sum = ctx.has(4) && ctx.has(1) ? tf.add(words, gatherAxis(ctx.tensor(4), tf.cast(ctx.tensor(1), 'int32'), 0)) : words;
  const y = nn.layerNorm(sum, ctx.tensor(5), ctx.tensor(6), lastAxis(sum), ctx.float('epsilon', 1e-12));
  const counts = ctx.has(7) ? tf.sum(tf.cast(ctx.tensor(7), 'int32'), 1) : tf.zeros([batch], 'int32');
  return [y, { kind: 'device', dtype: 'int32', tensor: counts }, sum];
}

function inferEmbedNorm(info: NodeInfo): Inferred[] {
  const ids = shapeOf(info);
  const type = { dtype: typeOf(info, 2).dtype, shape: ids && [...ids, shapeOf(info, 2)?.[1] ?? null] };
  return [type, { dtype: 'int32', shape: [ids?.[0] ?? null] }, type];
}

interface Scoring {
  readonly query: TfTensor;
  readonly key: TfTensor;
  readonly value: TfTensor;
  readonly biases: readonly TfTensor[];
}

/** softmax(q k' * scale + biases) v of [b, n, s, d], heads merged. */
function attend(ctx: RunContext, { query, key, value, biases }: Scoring): TfTensor {
  const scale = ctx.float('scale', 0) || 1 / Math.sqrt(query.shape[3]!);
  const scores = matMul(tf.mul(query, scale), key, false, true);
  const causal = ctx.int('unidirectional', 0) === 1 ? [causalBias(query.shape[2]!, key.shape[2]!)] : [];
  return mergeHeads(matMul(tf.softmax([...biases, ...causal].reduce((a, b) => tf.add(a, b), scores)), value));
}

/** A mask of 0 and 1, [b, columns] or [b, rows, columns], as a bias. */
function paddingBias(ctx: RunContext, input: number): TfTensor[] {
  if (!ctx.has(input)) return [];
  const mask = ctx.tensor(input);
  if (mask.rank !== 2 && mask.rank !== 3) refuse(`${ctx.node.opType} with a mask of rank ${mask.rank}`);
  const allowed = tf.cast(mask, 'bool');
  const lifted = mask.rank === 2 ? tf.reshape(allowed, [mask.shape[0]!, 1, 1, mask.shape[1]!]) : tf.expandDims(allowed, 1);
  const fill = ctx.float('mask_filter_value', -10_000);
  return [Number.isFinite(fill) ? tf.where(lifted as never, tf.scalar(0), tf.scalar(fill)) : maskBias(lifted)];
}

/** input [b, s, i] times weights [i, 3 h]: queries, keys and values at once. */
function packedAttention(ctx: RunContext): TfTensor[] {
  if (ctx.has(4)) refuse('Attention with a cache of past keys');
  const projected = matMul(ctx.tensor(0), ctx.tensor(1));
  const all = ctx.has(2) ? tf.add(projected, ctx.tensor(2)) : projected;
  const sizes = ctx.ints('qkv_hidden_sizes') ?? new Array<number>(3).fill(all.shape[2]! / 3);
  const [query, key, value] = (tf.split(all, [...sizes], 2) as TfTensor[]).map((part) => splitHeads(part, ctx.int('num_heads', 0))) as [TfTensor, TfTensor, TfTensor];
  return [attend(ctx, { query, key, value, biases: [...paddingBias(ctx, 3), ...(ctx.has(5) ? [ctx.tensor(5)] : [])] })];
}

function inferPackedAttention(info: NodeInfo): Inferred[] {
  const [x, w] = [shapeOf(info), shapeOf(info, 1)];
  const hidden: Dim = info.ints('qkv_hidden_sizes')?.[2] ?? (typeof w?.[1] === 'number' ? w[1] / 3 : null);
  return [{ dtype: typeOf(info).dtype, shape: x && [x[0]!, x[1]!, hidden] }];
}

/** query, key, value [b, s, h], each with its part of the bias [3 h]. */
function multiHeadAttention(ctx: RunContext): TfTensor[] {
  if (!ctx.has(1) || !ctx.has(2)) refuse('MultiHeadAttention with packed keys and values');
  if (ctx.has(6) || ctx.has(7)) refuse('MultiHeadAttention with a cache of past keys');
  const parts = [0, 1, 2].map((input) => ctx.tensor(input));
  if (parts.some(({ rank }) => rank !== 3)) refuse('MultiHeadAttention with packed or split heads');
  const biases = ctx.has(3) ? (tf.split(ctx.tensor(3), parts.map((part) => part.shape[2]!)) as TfTensor[]) : null;
  const [query, key, value] = parts.map((part, i) => splitHeads(biases ? tf.add(part, biases[i]!) : part, ctx.int('num_heads', 0))) as [TfTensor, TfTensor, TfTensor];
  return [attend(ctx, { query, key, value, biases: [...paddingBias(ctx, 4), ...(ctx.has(5) ? [ctx.tensor(5)] : [])] })];
}

function inferMultiHead(info: NodeInfo): Inferred[] {
  const [query, value] = [shapeOf(info), shapeOf(info, 2)];
  return [{ dtype: typeOf(info).dtype, shape: query?.length === 3 && value?.length === 3 ? [query[0]!, query[1]!, value[2]!] : null }];
}

/** a [..., k] times weights [n, k] held in blocks of 2 to 8 bits along k. */
function matMulBits(ctx: RunContext): TfTensor[] {
  if (ctx.has(4)) refuse('MatMulNBits with a group index');
  const [k, n, bits, block] = ['K', 'N', 'bits', 'block_size'].map((name) => ctx.int(name, name === 'bits' ? 4 : 0)) as [number, number, number, number];
  const zeros = ctx.has(3) ? ctx.host(3) : null;
  const kernel = unpackBlocks({ codes: hostNumbers(ctx.host(1)), scales: hostNumbers(ctx.host(2)), zeros: zeros && { values: hostNumbers(zeros), packed: zeros.dtype === 'uint8' } }, { k, n, bits, block });
  const product = matMul(ctx.tensor(0), tf.tensor2d(kernel, [n, k]), false, true);
  return [ctx.has(5) ? tf.add(product, ctx.tensor(5)) : product];
}

function inferMatMulBits(info: NodeInfo): Inferred[] {
  const shape = shapeOf(info);
  return [{ dtype: typeOf(info).dtype, shape: shape && [...shape.slice(0, -1), info.int('N', 0)] }];
}

const common = { domain: 'com.microsoft', since: 1, layout: ONNX_ORDER, differentiability: FULL } as const;
const kernel: WeightRole = { input: 1, kind: 'kernel', outputAxis: () => 1 };

export const contribOperators: readonly Operator[] = [
  fused('FusedConv', convOperators.find(({ type }) => type === 'Conv')!, 3, { kind: 'channels-last', inputs: [0, 3], outputs: [0] }),
  fused('FusedGemm', matMulOperators.find(({ type }) => type === 'Gemm')!, null),
  { ...common, type: 'BiasGelu', infer: sameType(), device: (ctx) => [gelu(tf.add(ctx.tensor(0), ctx.tensor(1)))] },
  { ...common, type: 'FastGelu', infer: sameType(), device: (ctx) => [gelu(ctx.has(1) ? tf.add(ctx.tensor(0), ctx.tensor(1)) : ctx.tensor(0), true)] },
  {
    ...common, type: 'SkipLayerNormalization', infer: skipTypes, weights: [vector(2, 'scale'), vector(3, 'bias')],
    device: (ctx) => skipNorm(ctx, 4, (x) => nn.layerNorm(x, ctx.tensor(2), ctx.has(3) ? ctx.tensor(3) : null, lastAxis(x), ctx.float('epsilon', 1e-12))),
  },
  {
    ...common, type: 'SkipSimplifiedLayerNormalization', infer: skipTypes, weights: [vector(2, 'scale')],
    device: (ctx) => skipNorm(ctx, 3, (x) => rmsNorm(x, ctx.tensor(2), lastAxis(x), ctx.float('epsilon', 1e-12))),
  },
  {
    ...common, type: 'SimplifiedLayerNormalization', domain: '', infer: sameType(), weights: [vector(1, 'scale')],
    device: (ctx) => { const x = ctx.tensor(0); return [rmsNorm(x, ctx.tensor(1), lastAxis(x), ctx.float('epsilon', 1e-5))]; },
  },
  {
    ...common, type: 'EmbedLayerNormalization', differentiability: firstInput(2, 3, 4, 5, 6), infer: inferEmbedNorm, device: embedNorm,
    weights: [...[2, 3, 4].map((input): WeightRole => ({ input, kind: 'embedding' })), vector(5, 'scale'), vector(6, 'bias')],
  },
  { ...common, type: 'Attention', infer: inferPackedAttention, device: packedAttention, weights: [kernel, vector(2, 'bias')] },
  { ...common, type: 'MultiHeadAttention', infer: inferMultiHead, device: multiHeadAttention, weights: [vector(3, 'bias')] },
  { ...common, type: 'MatMulNBits', differentiability: firstInput(0, 5), infer: inferMatMulBits, device: matMulBits, macs: (info, outputs) => matMulMacs(info, outputs) },
];

