/**
 * Scaled dot-product attention (Vaswani et al., 2017), grouped queries included (Ainslie et al., 2023), as ONNX's Attention-23 and -24 define it
 * in onnx 1.19: the mask is added before the soft cap, and groups of queries take the heads of keys by turns. (onnxruntime from 1.31 on takes
 * them in blocks and caps first; a model where that matters fails the check against onnxruntime and is not trained.)
 */
import { GraphError } from '../graph/graph-error.ts';
import type { Dim, TensorType } from '../graph/types.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { attention } from './channels/attention.ts';
import { FULL, given, ONNX_ORDER } from './define.ts';
import { attend, headsOf, type Heads } from './device/attention.ts';
import { matMul } from './matmul.ts';
import type { Inferred, NodeInfo, Operator, RunContext } from './operator.ts';
import { productOf, shapeOf, typeOf, type Shape } from './shapes.ts';

const [QUERY, KEY, VALUE, MASK, PAST_KEY, PAST_VALUE, LENGTHS] = [0, 1, 2, 3, 4, 5, 6];
/** The output that shows what the scores are, at some stage. */
const SCORES = 3;

/** [b, s, n * d] -> [b, n, s, d]; of rank 4 it is so already. */
export function splitHeads(x: TfTensor, heads: number): TfTensor {
  const split = headsOf(x, heads);
  return x.rank === 4 ? x : tf.transpose(split.x, [...split.order]);
}

/** [b, n, s, d] -> [b, s, n * d]. */
export function mergeHeads(x: TfTensor): TfTensor {
  return joinHeads(tf.transpose(x, [0, 2, 1, 3]));
}

/** [b, s, n, d] -> [b, s, n * d]. */
export function joinHeads(x: TfTensor): TfTensor {
  const [batch, length, heads, size] = x.shape as [number, number, number, number];
  return tf.reshape(x, [batch, length, heads * size]);
}

/** What may be attended: 0, what may not: -infinity. */
export function maskBias(allowed: TfTensor): TfTensor {
  return tf.where(allowed as never, tf.scalar(0), tf.scalar(-Infinity));
}

/** [rows, columns]: a position sees itself and what came before. */
export function causalBias(rows: number, columns: number, offset = 0): TfTensor {
  const values = Float32Array.from({ length: rows * columns }, (_, i) => (i % columns <= Math.floor(i / columns) + offset ? 0 : -Infinity));
  return tf.tensor2d(values, [rows, columns]);
}

function run(ctx: RunContext): TfTensor[] {
  const wanted = (output: number): boolean => (ctx.node.outputs[output] ?? '') !== '';
  if (ctx.float('softcap', 0) > 0 || wanted(SCORES)) return withScores(ctx);
  const query = headsOf(ctx.tensor(QUERY), ctx.int('q_num_heads', 0));
  const isPresent = ctx.has(PAST_KEY) || ctx.has(PAST_VALUE) || wanted(1) || wanted(2);
  const [key, value] = isPresent ? keysAndValues(ctx).map((x) => ({ x, order: nn.HEADS_FIRST })) : [KEY, VALUE].map((input) => headsOf(ctx.tensor(input), ctx.int('kv_num_heads', 0)));
  const bias = biasOf(ctx, query.x.shape[query.order[2]!]!, key!.x.shape[key!.order[2]!]!);
  const heads = query.x.shape[query.order[1]!]!;
  const [q, k, v] = [query, repeatHeads(key!, heads), repeatHeads(value!, heads)];
  const size = query.x.shape[3]!;
  const maskLearns = ctx.has(MASK) && ctx.dtype(MASK) !== 'bool' && ctx.constant(MASK) === null;
  const y = attend({ query: q, key: k, value: v, scale: ctx.float('scale', 1 / Math.sqrt(size)), mask: bias, maskLearns, order: query.order });
  const result = ctx.dims(QUERY).length === 3 ? joinHeads(y) : y;
  return isPresent ? [result, key!.x, value!.x] : [result];
}

/** Of [b, n, s, d], those of earlier positions in front. */
function keysAndValues(ctx: RunContext): TfTensor[] {
  return [KEY, VALUE].map((input, i) => {
    const now = splitHeads(ctx.tensor(input), ctx.int('kv_num_heads', 0));
    return ctx.has(PAST_KEY + i) ? tf.concat([ctx.tensor(PAST_KEY + i), now], 2) : now;
  });
}

/** Operation by operation, where scores are capped or asked for. */
function withScores(ctx: RunContext): TfTensor[] {
  const query = splitHeads(ctx.tensor(QUERY), ctx.int('q_num_heads', 0));
  const [key, value] = keysAndValues(ctx) as [TfTensor, TfTensor];
  const root = Math.sqrt(ctx.float('scale', 1 / Math.sqrt(query.shape[3]!)));
  const repeated = (x: TfTensor): TfTensor => repeatHeads({ x, order: nn.HEADS_FIRST }, query.shape[1]!).x;
  const scores = matMul(tf.mul(query, root), tf.mul(repeated(key), root), false, true);
  const bias = biasOf(ctx, query.shape[2]!, key.shape[2]!);
  const biased = bias ? tf.add(scores, bias) : scores;
  const cap = ctx.float('softcap', 0);
  const capped = cap > 0 ? tf.mul(tf.tanh(tf.div(biased, cap)), cap) : biased;
  const weights = nn.softmax(capped);
  const y = matMul(weights, repeated(value));
  const shown = [scores, biased, capped, weights][ctx.int('qk_matmul_output_mode', 0)];
  if (!shown) throw new GraphError(`qk_matmul_output_mode ${ctx.int('qk_matmul_output_mode', 0)} is not defined`);
  return [ctx.dims(QUERY).length === 3 ? mergeHeads(y) : y, key, value, shown];
}

/** Heads of keys by turns, until there is one for each head of queries. */
function repeatHeads({ x, order }: Heads, heads: number): Heads {
  const axis = order[1]!;
  const own = x.shape[axis]!;
  if (own === heads) return { x, order };
  if (heads % own !== 0) throw new GraphError(`${heads} heads of queries cannot share ${own} heads of keys`);
  return { x: tf.concat(new Array<TfTensor>(heads / own).fill(x), axis), order };
}

/** All that is added to the scores, broadcasting to [b, n, rows, columns]; null: nothing. */
function biasOf(ctx: RunContext, rows: number, columns: number): TfTensor | null {
  const parts = [
    ...(ctx.has(MASK) ? [paddedMask(ctx, columns)] : []),
    ...(ctx.int('is_causal', 0) === 1 ? [causalBias(rows, columns)] : []),
    ...(ctx.has(LENGTHS) ? [lengthBias(ctx.tensor(LENGTHS), columns)] : []),
  ];
  return parts.length === 0 ? null : parts.reduce((a, b) => tf.add(a, b));
}

/** A mask for fewer columns allows none of the others. */
function paddedMask(ctx: RunContext, columns: number): TfTensor {
  const mask = ctx.tensor(MASK);
  const bias = mask.dtype === 'bool' ? maskBias(mask) : mask;
  const missing = columns - bias.shape.at(-1)!;
  return missing > 0 ? tf.pad(bias, bias.shape.map((_, i): [number, number] => [0, i === bias.rank - 1 ? missing : 0]), -Infinity) : bias;
}

/** The first lengths[b] columns of sample b may be attended: [b, 1, 1, columns]. */
function lengthBias(lengths: TfTensor, columns: number): TfTensor {
  const positions = tf.reshape(tf.range(0, columns, 1, 'int32'), [1, 1, 1, columns]);
  return maskBias(tf.less(positions, tf.reshape(tf.cast(lengths, 'int32'), [-1, 1, 1, 1])));
}

interface Sizes {
  readonly batch: Dim;
  readonly heads: Dim;
  readonly keyHeads: Dim;
  readonly rows: Dim;
  readonly columns: Dim;
  readonly keySize: Dim;
  readonly valueSize: Dim;
}

function sizesOf(info: NodeInfo): Sizes | null {
  const [query, key, value] = [shapeOf(info, QUERY), shapeOf(info, KEY), shapeOf(info, VALUE)];
  if (!query || !key || !value) return null;
  if ((query.length !== 3 && query.length !== 4) || key.length !== query.length || value.length !== query.length) throw new GraphError('queries, keys and values must all be of rank 3 or all of rank 4');
  const flat = query.length === 3;
  const [heads, keyHeads] = flat ? [info.int('q_num_heads', 0), info.int('kv_num_heads', 0)] : [query[1]!, key[1]!];
  const size = (shape: readonly Dim[], count: Dim): Dim => (flat ? quotient(shape[2]!, count) : shape[3]!);
  const past = shapeOf(info, PAST_KEY);
  const now = key[flat ? 1 : 2]!;
  return {
    batch: query[0]!, heads, keyHeads, rows: query[flat ? 1 : 2]!, columns: given(info, PAST_KEY) ? sum(now, past?.[2] ?? null) : now,
    keySize: size(key, keyHeads), valueSize: size(value, keyHeads),
  };
}

const quotient = (a: Dim, b: Dim): Dim => (typeof a === 'number' && typeof b === 'number' && b > 0 ? Math.floor(a / b) : null);
const sum = (a: Dim, b: Dim): Dim => (typeof a === 'number' && typeof b === 'number' ? a + b : null);

function infer(info: NodeInfo): Inferred[] {
  const [dtype, valueType] = [typeOf(info, QUERY).dtype, typeOf(info, VALUE).dtype];
  const sizes = sizesOf(info);
  const of = (type: TensorType['dtype'], shape: (sizes: Sizes) => Shape): Inferred => ({ dtype: type, shape: sizes && shape(sizes) });
  const flat = shapeOf(info, QUERY)?.length === 3;
  return [
    of(dtype, ({ batch, heads, rows, valueSize }) => (flat ? [batch, rows, productOf([heads, valueSize])] : [batch, heads, rows, valueSize])),
    of(dtype, ({ batch, keyHeads, columns, keySize }) => [batch, keyHeads, columns, keySize]),
    of(valueType, ({ batch, keyHeads, columns, valueSize }) => [batch, keyHeads, columns, valueSize]),
    of(dtype, ({ batch, heads, rows, columns }) => [batch, heads, rows, columns]),
  ];
}

/** Scores, and their product with the values. */
function macs(info: NodeInfo): number {
  const sizes = sizesOf(info);
  if (!sizes) return 0;
  const { batch, heads, rows, columns, keySize, valueSize } = sizes;
  const [scores, width] = [productOf([batch, heads, rows, columns]), sum(keySize, valueSize)];
  return typeof scores === 'number' && typeof width === 'number' ? scores * width : 0;
}

/** An attribute for values of rank 3, an axis of those of rank 4. */
function heads(input: number, attribute: string): (info: NodeInfo) => number {
  return (info) => {
    const shape = shapeOf(info, input);
    return shape?.length === 4 && typeof shape[1] === 'number' ? shape[1] : info.int(attribute, 1);
  };
}

export const attentionOperators: readonly Operator[] = [
  { type: 'Attention', domain: '', since: 23, layout: ONNX_ORDER, differentiability: FULL, infer, device: run, macs, channels: attention({ queries: heads(QUERY, 'q_num_heads'), keys: heads(KEY, 'kv_num_heads'), past: [PAST_KEY, PAST_VALUE, LENGTHS] }) },
];
