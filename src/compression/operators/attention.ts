/**
 * Scaled dot-product attention (Vaswani et al., 2017), grouped queries included (Ainslie et al., 2023), as ONNX defines
 * Attention-23 to -25 with the errata of onnx 1.23: scores are capped before anything is added, each head of keys
 * serves a block of heads of queries, the causal frontier lies behind the past, and rows that may attend nothing are
 * zero. Where onnx's reference evaluator differs from the text and function body of the schema (mode 0 of
 * qk_matmul_output shows capped scores there), the text holds, and onnxruntime 1.30 agrees with it. That differs from
 * the text where a single query comes with several keys behind a past (it sees them all) and where `softmax_precision`
 * is of 16 bits; such models are not trained.
 */
import { nth } from '../ir/checked-access.ts';
import { LatheError } from '../../errors.ts';
import { GraphError } from '../ir/graph-error.ts';
import { isFloat } from '../ir/tensor-data.ts';
import { DATA_TYPES, type DataType, type Dim, type TensorType } from '../ir/types.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { attention } from './channels/attention.ts';
import { FULL, given, ONNX_ORDER } from './define.ts';
import { boundsBias, type Bounds } from './device/attention-bias.ts';
import { attendStepwise, type Precision } from './device/attention-scores.ts';
import { attend, groupHeads, headsOf, type Heads } from './device/attention.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { productOf, shapeOf, typeOf, unifyDim, type Shape } from './shapes.ts';

const [QUERY, KEY, VALUE, MASK, PAST_KEY, PAST_VALUE, LENGTHS] = [0, 1, 2, 3, 4, 5, 6];
/** The output that holds the scores, at the stage that qk_matmul_output_mode names. */
const SCORES = 3;

/** [b, s, n * d] -> [b, n, s, d]; a tensor of rank 4 has this form already. */
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

function run(ctx: RunContext): TfTensor[] {
  return isStepwise(ctx) ? runStepwise(ctx) : runWhole(ctx);
}

const wants = (info: NodeInfo, output: number): boolean => (info.node.outputs[output] ?? '') !== '';
const precisionOf = (dtype: DataType | undefined): Precision =>
  dtype === 'float16' || dtype === 'bfloat16' ? dtype : null;
/** What the softmax is computed in: the queries' type unless said otherwise. */
function softmaxTypeOf(ctx: RunContext): DataType {
  const code = ctx.int('softmax_precision', 0);
  if (code === 0) return ctx.dtype(QUERY);
  const type = DATA_TYPES[code];
  if (type === 'float32' || type === 'float64' || type === 'float16' || type === 'bfloat16') return type;
  throw new LatheError(
    'unsupported-operator',
    `the training engine computes no softmax of softmax_precision ${code}; use 1, 10, 11 or 16`,
  );
}

function isStepwise(ctx: RunContext): boolean {
  return (
    ctx.float('softcap', 0) > 0 ||
    wants(ctx, SCORES) ||
    precisionOf(ctx.dtype(QUERY)) !== null ||
    precisionOf(softmaxTypeOf(ctx)) !== null
  );
}

/** Attention as one operation of the engine. */
function runWhole(ctx: RunContext): TfTensor[] {
  const query = headsOf(ctx.tensor(QUERY), ctx.int('q_num_heads', 0));
  const isPresent = ctx.has(PAST_KEY) || wants(ctx, 1) || wants(ctx, 2);
  const headed = (input: number): Heads => headsOf(ctx.tensor(input), ctx.int('kv_num_heads', 0));
  const [key, value] = isPresent
    ? [ordered(withPast(ctx, KEY, PAST_KEY)), ordered(withPast(ctx, VALUE, PAST_VALUE))]
    : [headed(KEY), headed(VALUE)];
  const heads = nth(query.x.shape, nth(query.order, 1));
  const bias = boundsBias(boundsOf(ctx, nth(query.x.shape, nth(query.order, 2)), nth(key.x.shape, nth(key.order, 2))));
  const maskLearns = ctx.has(MASK) && isFloat(ctx.dtype(MASK)) && ctx.constant(MASK) === null;
  const scale = ctx.float('scale', 1 / Math.sqrt(nth(query.x.shape, 3)));
  const attended = attend({
    query,
    key: groupHeads(key, heads),
    value: groupHeads(value, heads),
    scale,
    mask: bias?.values ?? null,
    maskLearns,
    order: query.order,
  });
  const y = bias?.masked
    ? tf.where(tf.transpose(bias.masked, [...query.order]), tf.zerosLike(attended), attended)
    : attended;
  const result = ctx.dims(QUERY).length === 3 ? joinHeads(y) : y;
  return isPresent ? [result, key.x, value.x] : [result];
}

/** Keys or values [b, n, s, d], those of earlier positions first. */
function withPast(ctx: RunContext, input: number, past: number): TfTensor {
  const now = splitHeads(ctx.tensor(input), ctx.int('kv_num_heads', 0));
  return ctx.has(past) ? tf.concat([ctx.tensor(past), now], 2) : now;
}

const ordered = (x: TfTensor): Heads => ({ x, order: nn.HEADS_FIRST });

function runStepwise(ctx: RunContext): TfTensor[] {
  const query = splitHeads(ctx.tensor(QUERY), ctx.int('q_num_heads', 0));
  const [key, value] = [withPast(ctx, KEY, PAST_KEY), withPast(ctx, VALUE, PAST_VALUE)];
  const grouped = (x: TfTensor): TfTensor => groupHeads(ordered(x), nth(query.shape, 1)).x;
  const { y, stages } = attendStepwise({
    query,
    key: grouped(key),
    value: grouped(value),
    scale: ctx.float('scale', 1 / Math.sqrt(nth(query.shape, 3))),
    cap: ctx.float('softcap', 0),
    bias: boundsBias(boundsOf(ctx, nth(query.shape, 2), nth(key.shape, 2))),
    precision: precisionOf(ctx.dtype(QUERY)),
    softmaxPrecision: precisionOf(softmaxTypeOf(ctx)),
  });
  return [
    ctx.dims(QUERY).length === 3 ? mergeHeads(y) : y,
    key,
    value,
    nth(stages, ctx.int('qk_matmul_output_mode', 0)),
  ];
}

function boundsOf(ctx: RunContext, rows: number, columns: number): Bounds {
  const [left, right] = [ctx.int('left_window_size', -1), ctx.int('right_window_size', -1)];
  const after = right < 0 ? Infinity : right;
  return {
    rows,
    columns,
    mask: ctx.has(MASK) ? ctx.tensor(MASK) : null,
    lengths: ctx.has(LENGTHS) ? ctx.tensor(LENGTHS) : null,
    past: ctx.has(PAST_KEY) ? nth(ctx.dims(PAST_KEY), 2) : 0,
    reach: { before: left < 0 ? Infinity : left, after: ctx.int('is_causal', 0) === 1 ? Math.min(0, after) : after },
  };
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
  if ((query.length !== 3 && query.length !== 4) || key.length !== query.length || value.length !== query.length)
    throw new GraphError('queries, keys and values must all be of rank 3 or all of rank 4');
  const flat = query.length === 3;
  checkHeads(info, { flat, query, key, value });
  const [heads, keyHeads] = flat
    ? [info.int('q_num_heads', 0), info.int('kv_num_heads', 0)]
    : [nth(query, 1), nth(key, 1)];
  const size = (shape: readonly Dim[], count: Dim): Dim => (flat ? quotient(nth(shape, 2), count) : nth(shape, 3));
  const past = shapeOf(info, PAST_KEY);
  const now = nth(key, flat ? 1 : 2);
  return {
    batch: nth(query, 0),
    heads,
    keyHeads,
    rows: nth(query, flat ? 1 : 2),
    columns: given(info, PAST_KEY) ? sum(now, past?.[2] ?? null) : now,
    keySize: size(key, keyHeads),
    valueSize: size(value, keyHeads),
  };
}

interface HeadShapes {
  readonly flat: boolean;
  readonly query: readonly Dim[];
  readonly key: readonly Dim[];
  readonly value: readonly Dim[];
}

/** Rejects shapes and settings that contradict each other. */
function checkHeads(info: NodeInfo, { flat, query, key, value }: HeadShapes): void {
  const [heads, keyHeads] = [info.int('q_num_heads', 0), info.int('kv_num_heads', 0)];
  if (flat && (heads < 1 || keyHeads < 1))
    throw new GraphError('operands of rank 3 need the attributes q_num_heads and kv_num_heads');
  if (!flat) {
    unifyDim(nth(key, 1), nth(value, 1), 'heads of keys and values');
    if (heads > 0) unifyDim(nth(query, 1), heads, 'heads of queries and q_num_heads');
    if (keyHeads > 0) unifyDim(nth(key, 1), keyHeads, 'heads of keys and kv_num_heads');
  }
  const [many, own] = flat ? [heads, keyHeads] : [nth(query, 1), nth(key, 1)];
  if (typeof many === 'number' && typeof own === 'number' && own > 0 && many % own !== 0)
    throw new GraphError(`${many} heads of queries cannot share ${own} heads of keys`);
}

/** Rejects settings that the standard excludes, unless onnxruntime computes them. */
function checkSettings(info: NodeInfo): void {
  if (given(info, PAST_KEY) !== given(info, PAST_VALUE))
    throw new GraphError('past_key and past_value go together: one of them is missing');
  if (given(info, LENGTHS) && given(info, PAST_KEY))
    throw new GraphError(
      'nonpad_kv_seqlen describes an external cache and past_key an internal one; give only one of them',
    );
  const mode = info.int('qk_matmul_output_mode', 0);
  if (wants(info, SCORES) && (mode < 0 || mode > 3))
    throw new GraphError(`qk_matmul_output_mode ${mode} is not defined (0 to 3 are)`);
  for (const name of ['left_window_size', 'right_window_size'])
    if (info.int(name, -1) < -1)
      throw new GraphError(`${name} is ${info.int(name, -1)}; it must be -1 (no bound) or more`);
}

const quotient = (a: Dim, b: Dim): Dim =>
  typeof a === 'number' && typeof b === 'number' && b > 0 ? Math.floor(a / b) : null;
const sum = (a: Dim, b: Dim): Dim => (typeof a === 'number' && typeof b === 'number' ? a + b : null);

function infer(info: NodeInfo): Inferred[] {
  checkSettings(info);
  const [dtype, valueType] = [typeOf(info, QUERY).dtype, typeOf(info, VALUE).dtype];
  const sizes = sizesOf(info);
  const of = (type: TensorType['dtype'], shape: (sizes: Sizes) => Shape): Inferred => ({
    dtype: type,
    shape: sizes && shape(sizes),
  });
  const flat = shapeOf(info, QUERY)?.length === 3;
  return [
    of(dtype, ({ batch, heads, rows, valueSize }) =>
      flat ? [batch, rows, productOf([heads, valueSize])] : [batch, heads, rows, valueSize],
    ),
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

/** The heads: an attribute for values of rank 3, an axis of values of rank 4. */
function heads(input: number, attribute: string): (info: NodeInfo) => number {
  return (info) => {
    const shape = shapeOf(info, input);
    return shape?.length === 4 && typeof shape[1] === 'number' ? shape[1] : info.int(attribute, 1);
  };
}

export const attentionOperators: readonly Operator[] = [
  {
    type: 'Attention',
    domain: '',
    since: 23,
    layout: ONNX_ORDER,
    differentiability: FULL,
    infer,
    device: run,
    macs,
    channels: attention({
      queries: heads(QUERY, 'q_num_heads'),
      keys: heads(KEY, 'kv_num_heads'),
      past: [PAST_KEY, PAST_VALUE, LENGTHS],
    }),
  },
];
