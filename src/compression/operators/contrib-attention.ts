/**
 * com.microsoft's forms of attention (Vaswani et al., 2017): Attention with all projections in one weight,
 * MultiHeadAttention, and GroupQueryAttention (Ainslie et al., 2023) with its rotations; with keys and values of
 * earlier positions. Heads of keys serve blocks of heads of queries. What onnxruntime computes on CUDA only (packed
 * inputs, caches of several lengths) is refused.
 */
import { nth } from '../ir/checked-access.ts';
import { LatheError } from '../../errors.ts';
import type { Dim } from '../ir/types.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { joinHeads, mergeHeads, splitHeads } from './attention.ts';
import { attention } from './channels/attention.ts';
import { firstInput, FULL, given, ONNX_ORDER } from './define.ts';
import { attend, groupHeads, headsOf, type Heads } from './device/attention.ts';
import { causalBias, maskBias, reachBias } from './device/attention-bias.ts';
import { matMul } from './matmul.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, WeightRole } from './operator.ts';
import { cacheRows, rotateHeads } from './rotary-embedding.ts';
import { productOf, shapeOf, typeOf, type Shape } from './shapes.ts';

const refuse = (what: string): never => {
  throw new LatheError('unsupported-operator', `${what} is not computed by the training engine`);
};
const only = (ctx: RunContext, inputs: readonly number[], what: string): void => {
  if (inputs.some((input) => ctx.has(input))) refuse(`${ctx.node.opType} with ${what}`);
};

interface Scoring {
  readonly query: Heads;
  readonly key: Heads;
  readonly value: Heads;
  /** Added to the scores [b, n, rows, columns]. */
  readonly biases: readonly TfTensor[];
  /** The input among them that may receive a gradient. */
  readonly added: number;
  /** Soft bound of the scores, cap * tanh(scores / cap); 0: none. */
  readonly cap?: number;
}

/** softmax(q k' * scale + biases) v, heads merged. */
function scoreAndMix(ctx: RunContext, { query, key, value, biases, added: input, cap = 0 }: Scoring): TfTensor {
  const scale = ctx.float('scale', 0) || 1 / Math.sqrt(nth(query.x.shape, 3));
  const bias = biases.length === 0 ? null : biases.reduce((a, b) => tf.add(a, b));
  if (cap === 0)
    return joinHeads(
      attend({
        query,
        key,
        value,
        scale,
        mask: bias,
        maskLearns: ctx.has(input) && ctx.constant(input) === null,
        order: nn.TOKENS_FIRST,
      }),
    );
  const [q, k, v] = [query, key, value].map(byHead) as [TfTensor, TfTensor, TfTensor];
  const capped = tf.mul(tf.tanh(tf.div(matMul(tf.mul(q, scale), k, false, true), cap)), cap);
  return mergeHeads(matMul(nn.softmax(bias ? tf.add(capped, bias) : capped), v));
}

/** [b, n, s, d]. */
const byHead = ({ x, order }: Heads): TfTensor => (order === nn.HEADS_FIRST ? x : tf.transpose(x, [...order]));
const ordered = (x: TfTensor): Heads => ({ x, order: nn.HEADS_FIRST });
/** How many positions there are. */
const lengthOf = ({ x, order }: Heads): number => nth(x.shape, nth(order, 2));

/** The causal bound of a unidirectional node: the last query stands at the last of `columns` positions. */
function directionBias(ctx: RunContext, query: Heads, key: Heads): TfTensor[] {
  const [rows, columns] = [lengthOf(query), lengthOf(key)];
  return ctx.int('unidirectional', 0) === 1 ? [causalBias(rows, columns, columns - rows)] : [];
}

/** A mask of 0 and 1, [b, columns] or [b, rows, columns], or the count of columns that each sample has, as a bias. */
function paddingBias(ctx: RunContext, input: number, batch: number, columns: number): TfTensor[] {
  if (!ctx.has(input)) return [];
  const mask = ctx.tensor(input);
  const lengths = mask.rank === 1 && mask.size === batch;
  if (!lengths && mask.rank !== 2 && mask.rank !== 3)
    refuse(`${ctx.node.opType} with a mask of shape [${mask.shape.join(', ')}]`);
  const allowed = lengths
    ? tf.less(tf.range(0, columns, 1, 'int32'), tf.cast(tf.reshape(mask, [batch, 1]), 'int32'))
    : tf.cast(mask, 'bool');
  const lifted =
    allowed.rank === 2 ? tf.reshape(allowed, [nth(allowed.shape, 0), 1, 1, columns]) : tf.expandDims(allowed, 1);
  const fill = ctx.float('mask_filter_value', -10_000);
  return [Number.isFinite(fill) ? tf.where(lifted, tf.scalar(0), tf.scalar(fill)) : maskBias(lifted)];
}

const added = (ctx: RunContext, input: number): TfTensor[] => (ctx.has(input) ? [ctx.tensor(input)] : []);
/** Keys or values of earlier positions, then those of the present ones. */
const behind = (past: TfTensor | null, now: Heads): Heads => (past ? ordered(tf.concat([past, byHead(now)], 2)) : now);

/** input [b, s, i] times weights [i, 3 h]: queries, keys and values at once; past and present [2, b, n, s, d]. */
function packedAttention(ctx: RunContext): TfTensor[] {
  if (ctx.int('do_rotary', 0) !== 0) refuse('Attention with rotations inside');
  only(ctx, [6], 'a cache that it writes into');
  const projected = matMul(ctx.tensor(0), ctx.tensor(1));
  const all = ctx.has(2) ? tf.add(projected, ctx.tensor(2)) : projected;
  const sizes = ctx.ints('qkv_hidden_sizes') ?? new Array<number>(3).fill(nth(all.shape, 2) / 3);
  const [query, ...now] = tf
    .split<TfTensor>(all, [...sizes], 2)
    .map((part) => headsOf(part, ctx.int('num_heads', 0))) as [Heads, Heads, Heads];
  const past = ctx.has(4) ? tf.unstack(ctx.tensor(4)) : [];
  const [key, value] = now.map((part, i) => behind(past[i] ?? null, part)) as [Heads, Heads];
  const biases = [
    ...paddingBias(ctx, 3, nth(query.x.shape, 0), lengthOf(key)),
    ...added(ctx, 5),
    ...directionBias(ctx, query, key),
  ];
  const y = scoreAndMix(ctx, { query, key, value, biases, added: 5 });
  return ctx.node.outputs.length > 1 ? [y, tf.stack([byHead(key), byHead(value)])] : [y];
}

function inferPackedAttention(info: NodeInfo): Inferred[] {
  const [x, w, past] = [shapeOf(info), shapeOf(info, 1), shapeOf(info, 4)];
  const dtype = typeOf(info).dtype;
  const hidden: Dim = info.ints('qkv_hidden_sizes')?.[2] ?? (typeof w?.[1] === 'number' ? w[1] / 3 : null);
  return [
    { dtype, shape: x && [nth(x, 0), nth(x, 1), hidden] },
    { dtype, shape: past && [...past.slice(0, 3), sum(nth(past, 3), x?.[1] ?? null), nth(past, 4)] },
  ];
}

/**
 * query, key, value [b, s, h], each with its part of the bias [3 h]; keys and values of another sequence may come as
 * [b, n, s, d].
 */
function multiHeadAttention(ctx: RunContext): TfTensor[] {
  if (!ctx.has(1) || !ctx.has(2) || ctx.dims(0).length !== 3)
    refuse('MultiHeadAttention with queries, keys or values packed into one');
  only(ctx, [8, 9], 'a cache that it writes into');
  if (ctx.node.outputs.length > 3) refuse('MultiHeadAttention with its scores as an output');
  const parts = [0, 1, 2].map((input) => ctx.tensor(input));
  const apart = nth(parts, 1).rank === 4;
  if (apart && ctx.has(3)) refuse('MultiHeadAttention with a bias and heads apart');
  const biases = ctx.has(3)
    ? tf.split<TfTensor>(
        ctx.tensor(3),
        parts.map((part) => nth(part.shape, 2)),
      )
    : null;
  const [query, ...now] = parts.map((part, i) =>
    headsOf(biases ? tf.add(part, nth(biases, i)) : part, ctx.int('num_heads', 0)),
  ) as [Heads, Heads, Heads];
  const [key, value] = now.map((part, i) => behind(ctx.has(6 + i) ? ctx.tensor(6 + i) : null, part)) as [Heads, Heads];
  const all = [
    ...paddingBias(ctx, 4, nth(query.x.shape, 0), lengthOf(key)),
    ...added(ctx, 5),
    ...directionBias(ctx, query, key),
  ];
  const y = scoreAndMix(ctx, { query, key, value, biases: all, added: 5 });
  return ctx.node.outputs.length > 1 ? [y, byHead(key), byHead(value)] : [y];
}

function inferMultiHead(info: NodeInfo): Inferred[] {
  const [query, value] = [shapeOf(info), shapeOf(info, 2)];
  const dtype = typeOf(info).dtype;
  const heads = info.int('num_heads', 0);
  const width =
    value?.length === 3 ? nth(value, 2) : value?.length === 4 && typeof value[3] === 'number' ? value[3] * heads : null;
  const present = (input: number): Inferred => ({
    dtype,
    shape: presentShape(
      shapeOf(info, input),
      given(info, 5 + input) ? shapeOf(info, 5 + input) : [null, null, 0, null],
      heads,
    ),
  });
  return [
    { dtype, shape: query?.length === 3 && value ? [nth(query, 0), nth(query, 1), width] : null },
    present(1),
    present(2),
  ];
}

const sum = (a: Dim, b: Dim): Dim => (typeof a === 'number' && typeof b === 'number' ? a + b : null);

/** [b, n, past and now, d]. */
function presentShape(now: Shape, past: Shape, heads: number): Dim[] | null {
  if (now?.length === 4) return [...now];
  if (now?.length !== 3 || heads < 1) return null;
  return [nth(now, 0), heads, sum(nth(now, 1), past?.[2] ?? null), typeof now[2] === 'number' ? now[2] / heads : null];
}

/**
 * Queries [b, s, n d], keys and values [b, s, m d] (or all in the first input), past [b, m, p, d]; every sample as long
 * as the others.
 */
function groupQueryAttention(ctx: RunContext): TfTensor[] {
  const others = Array.from({ length: Math.max(0, ctx.inputCount - 11) }, (_, i) => 11 + i);
  only(ctx, [9, ...others], 'positions, sinks or scales of its own');
  if (ctx.int('smooth_softmax', 0) > 0 || ctx.node.outputs.length > 3)
    refuse('GroupQueryAttention with a smoothed softmax or its scores as an output');
  const [heads, keyHeads] = [ctx.int('num_heads', 0), ctx.int('kv_num_heads', 0)];
  const past = ctx.has(3) ? nth(ctx.dims(3), 2) : 0;
  const rows = nth(ctx.dims(0), 1);
  const columns = past + rows;
  if (ctx.hostInts(5).some((last) => last + 1 !== columns))
    refuse('GroupQueryAttention of samples of different lengths');
  const [query, key, value] = groupParts(ctx, heads, keyHeads).map((part, i) =>
    i < 2 ? rotated(ctx, part, past) : part,
  ) as [TfTensor, TfTensor, TfTensor];
  const [keys, values] = [key, value].map((now, i) => behind(past > 0 ? ctx.tensor(3 + i) : null, ordered(now)).x) as [
    TfTensor,
    TfTensor,
  ];
  const biases = [
    ...added(ctx, 10),
    ...(ctx.int('causal', 1) === 1 ? [causalBias(rows, columns, past)] : []),
    ...windowBias(ctx, rows, columns),
  ];
  const [q, k, v] = [query, keys, values].map((x) => groupHeads(ordered(x), heads)) as [Heads, Heads, Heads];
  return [
    scoreAndMix(ctx, { query: q, key: k, value: v, biases, added: 10, cap: ctx.float('softcap', 0) }),
    keys,
    values,
  ];
}

function groupParts(ctx: RunContext, heads: number, keyHeads: number): TfTensor[] {
  if (ctx.has(1))
    return [splitHeads(ctx.tensor(0), heads), splitHeads(ctx.tensor(1), keyHeads), splitHeads(ctx.tensor(2), keyHeads)];
  const packed = ctx.tensor(0);
  const size = nth(packed.shape, 2) / (heads + 2 * keyHeads);
  const parts = tf.split<TfTensor>(packed, [heads * size, keyHeads * size, keyHeads * size], 2);
  return parts.map((part, i) => splitHeads(part, i === 0 ? heads : keyHeads));
}

/** [b, n, s, d], turned by the positions that follow the past. */
function rotated(ctx: RunContext, x: TfTensor, past: number): TfTensor {
  if (ctx.int('do_rotary', 0) !== 1) return x;
  const byPosition = tf.transpose(x, [0, 2, 1, 3]);
  const size = 2 * nth(ctx.dims(7), 1);
  const positions = tf.tensor1d([past], 'int32');
  const rows = (input: number): TfTensor => cacheRows(ctx.tensor(input), positions, nth(x.shape, 2));
  return tf.transpose(
    rotateHeads(byPosition, { cos: rows(7), sin: rows(8) }, size, ctx.int('rotary_interleaved', 0) === 1),
    [0, 2, 1, 3],
  );
}

/** Each query attends the last `local_window_size` positions, its own included. */
function windowBias(ctx: RunContext, rows: number, columns: number): TfTensor[] {
  const window = ctx.int('local_window_size', -1);
  if (window < 1) return [];
  return [reachBias(rows, columns, columns - rows, { before: window - 1, after: Infinity })];
}

function inferGroupQuery(info: NodeInfo): Inferred[] {
  const query = shapeOf(info);
  const dtype = typeOf(info).dtype;
  const [heads, keyHeads] = [info.int('num_heads', 0), info.int('kv_num_heads', 0)];
  const packed = !given(info, 1);
  const size = typeof query?.[2] === 'number' ? query[2] / (packed ? heads + 2 * keyHeads : heads) : null;
  const present = {
    dtype,
    shape: query && [
      nth(query, 0),
      keyHeads,
      given(info, 3) ? sum(nth(query, 1), shapeOf(info, 3)?.[2] ?? null) : nth(query, 1),
      size,
    ],
  };
  return [
    { dtype, shape: query && [nth(query, 0), nth(query, 1), size === null ? null : size * heads] },
    present,
    present,
  ];
}

interface ScoringSizes {
  readonly batch: Dim;
  readonly rows: Dim;
  readonly columns: Dim;
  readonly keys: Dim;
  readonly values: Dim;
}

/**
 * Scores of all heads [b, rows, columns] from `keys` features of all heads together, and their product with the values.
 */
function scoringMacs({ batch, rows, columns, keys, values }: ScoringSizes): number {
  const count = productOf([batch, rows, columns, sum(keys, values)]);
  return typeof count === 'number' ? count : 0;
}

function packedMacs(info: NodeInfo): number {
  const [x, w, past] = [shapeOf(info), shapeOf(info, 1), shapeOf(info, 4)];
  if (x?.length !== 3 || w?.length !== 2) return 0;
  const [batch, rows] = x as [Dim, Dim];
  const third = typeof w[1] === 'number' ? w[1] / 3 : null;
  const [keys = null, , values = null] = info.ints('qkv_hidden_sizes') ?? [third, third, third];
  const projections = productOf([batch, rows, ...w]);
  return (
    (typeof projections === 'number' ? projections : 0) +
    scoringMacs({ batch, rows, columns: given(info, 4) ? sum(rows, past?.[3] ?? null) : rows, keys, values })
  );
}

/** Where the results are the heads' values [b, s, n d] and the keys [b, m, columns, d]. */
function headsMacs(info: NodeInfo, [y, keys]: readonly Inferred[]): number {
  const query = shapeOf(info);
  const [batch = null, rows = null, width = null] = y?.shape ?? [];
  const keySize = given(info, 1) ? (query?.[2] ?? null) : width;
  return scoringMacs({ batch, rows, columns: keys?.shape?.[2] ?? null, keys: keySize, values: width });
}

const vector = (input: number): WeightRole => ({ input, kind: 'bias', outputAxis: () => 0 });
const headCount = (info: NodeInfo): number => info.int('num_heads', 1);
const common = { domain: 'com.microsoft', since: 1, layout: ONNX_ORDER, differentiability: FULL } as const;

export const contribAttentionOperators: readonly Operator[] = [
  {
    ...common,
    type: 'Attention',
    infer: inferPackedAttention,
    device: packedAttention,
    macs: packedMacs,
    weights: [{ input: 1, kind: 'kernel', outputAxis: () => 1 }, vector(2)],
  },
  {
    ...common,
    type: 'MultiHeadAttention',
    infer: inferMultiHead,
    device: multiHeadAttention,
    macs: (info) => headsMacs(info, inferMultiHead(info)),
    weights: [vector(3)],
    channels: attention({ queries: headCount, keys: headCount, bias: 3, past: [6, 7] }),
  },
  {
    ...common,
    type: 'GroupQueryAttention',
    differentiability: firstInput(0, 1, 2, 3, 4, 10),
    infer: inferGroupQuery,
    device: groupQueryAttention,
    macs: (info) => headsMacs(info, inferGroupQuery(info)),
  },
];
