/**
 * Attention: multi-head and grouped-query (Vaswani et al. 2017, eq. 1; Ainslie et al. 2023), dot-product and additive
 * (Bahdanau et al. 2015).
 */
import { itemOf, tupleOf } from '../../../ir/checked-access.ts';
import {
  flag,
  input,
  keyword,
  number,
  UnsupportedLayer,
  weight,
  type LayerContext,
  type LayerConverter,
  type WeightArray,
} from '../layer.ts';
import { cast, plain, plainSignal, range, type Signal } from '../signal.ts';

/** Keras's value of masked scores before the softmax: -0.7 of the largest float32. */
const MASKED_SCORE = -0.7 * 3.4028234663852886e38;

interface Projection {
  readonly kernel: WeightArray;
  readonly bias: WeightArray | null;
}

/** Heads and their size, from the kernel [d, heads, size]. */
function headsOf({ kernel }: Projection): { heads: number; size: number } {
  const [, heads, size] = tupleOf(kernel.dims, 3, 'the shape of a projection kernel');
  return { heads, size };
}

/** x [..., d] times kernel [d, heads, size] -> [..., heads, size], for x of `rank`. */
function project(
  { b, name }: LayerContext,
  x: string,
  rank: number,
  { kernel, bias }: Projection,
  label: string,
): string {
  const [depth, heads, size] = tupleOf(kernel.dims, 3, `the shape of the ${label} kernel`);
  const w = b.weight(`${name}/${label}/kernel`, [depth, heads * size], kernel.values);
  let projected = b.op('MatMul', [x, w], {}, `${name}/${label}`);
  if (bias)
    projected = b.op(
      'Add',
      [projected, b.weight(`${name}/${label}/bias`, [heads * size], bias.values)],
      {},
      `${name}/${label}_biased`,
    );
  return b.op(
    'Reshape',
    [projected, b.ints([...range(0, rank - 1).map(() => 0), heads, size])],
    {},
    `${name}/${label}_heads`,
  );
}

/** How [b, ...axes, heads, size] becomes [b, free..., heads, attended, size] and back. */
interface Axes {
  readonly free: readonly number[];
  readonly attended: readonly number[];
  readonly rank: number;
}

function byHead(
  { b, name }: LayerContext,
  x: string,
  { free, attended, rank }: Axes,
  size: number,
  label: string,
): string {
  const moved = b.op('Transpose', [x], { perm: [0, ...free, rank - 1, ...attended, rank] }, `${name}/${label}_by_head`);
  return attended.length === 1
    ? moved
    : b.op(
        'Reshape',
        [moved, b.ints([...range(0, free.length + 2).map(() => 0), -1, size])],
        {},
        `${name}/${label}_flat`,
      );
}

/** The inverse, which separates the attended axes of `query` again. */
function byStep(
  { b, name }: LayerContext,
  mixed: string,
  { free, attended, rank }: Axes,
  query: Signal,
  size: number,
): string {
  const order = [0, ...free, rank - 1, ...attended, rank];
  const sizes = attended.map((axis) => query.shape[axis] ?? null);
  if (attended.length > 1 && sizes.some((one) => one === null))
    throw new UnsupportedLayer('attention over several axes of open size');
  const apart =
    attended.length === 1
      ? mixed
      : b.op(
          'Reshape',
          [mixed, b.ints([...range(0, free.length + 2).map(() => 0), ...sizes.map(Number), size])],
          {},
          `${name}/apart`,
        );
  return b.op('Transpose', [apart], { perm: range(0, rank + 1).map((axis) => order.indexOf(axis)) }, `${name}/by_step`);
}

/** The bool mask of [n, t] inputs and the call, broadcastable to [n, t, s]; null: everything is seen. */
function attentionMask(
  ctx: LayerContext,
  query: Signal,
  value: Signal,
  masks: { query: string | null; value: string | null; key: string | null },
): string | null {
  const { b, name, config, callArguments } = ctx;
  const parts: string[] = [];
  if (masks.query) parts.push(b.op('Unsqueeze', [masks.query, b.ints([-1])], {}, `${name}/query_mask`));
  for (const mask of [masks.value, masks.key])
    if (mask) parts.push(b.op('Unsqueeze', [mask, b.ints([-2])], {}, `${name}/value_mask`));
  if (callArguments['use_causal_mask'] === true) parts.push(causalMask(ctx, query, value));
  const window = config['sliding_window'];
  if (typeof window === 'number') parts.push(windowMask(ctx, query, value, window));
  const given = keyword(ctx, 'attention_mask');
  const own = given ? cast(b, given, 'bool').value : null;
  if (own) parts.push(own);
  return parts.length === 0 ? null : parts.reduce((all, next) => b.op('And', [all, next], {}, `${name}/mask`));
}

/** Positions 0 ... size - 1 of the steps (axis 1) of a tensor, as [size, 1] or [1, size]. */
function positions({ b, name }: LayerContext, signal: Signal, axis: 0 | 1): string {
  const size = b.op(
    'Squeeze',
    [b.op('Shape', [plain(b, signal)], { start: 1, end: 2 }, `${name}/steps`), b.ints([0])],
    {},
    `${name}/step_count`,
  );
  return b.op(
    'Unsqueeze',
    [b.op('Range', [b.scalar(0, 'int64'), size, b.scalar(1, 'int64')], {}, `${name}/range`), b.ints([1 - axis])],
    {},
    `${name}/positions`,
  );
}

/** [t, s]: step i sees steps up to i. */
const causalMask = (ctx: LayerContext, query: Signal, value: Signal): string =>
  ctx.b.op('GreaterOrEqual', [positions(ctx, query, 0), positions(ctx, value, 1)], {}, `${ctx.name}/causal`);

/** [t, s]: step i sees the steps nearer than `window` on both sides. */
function windowMask(ctx: LayerContext, query: Signal, value: Signal, window: number): string {
  const { b, name } = ctx;
  const apart = b.op(
    'Abs',
    [b.op('Sub', [positions(ctx, query, 0), positions(ctx, value, 1)], {}, `${name}/apart`)],
    {},
    `${name}/distance`,
  );
  return b.op('Less', [apart, b.scalar(window, 'int64')], {}, `${name}/window`);
}

/**
 * softmax(q kᵀ) v over [..., t, size]. Where Keras keeps the scores (dropout, scores wanted) rows without any visible
 * step become zeros; where it uses its fused attention they become the mean.
 */
function attend(
  { b, name }: LayerContext,
  q: string,
  k: string,
  v: string,
  rank: number,
  mask: string | null,
  keepsScores: boolean,
): { mixed: string; scores: string } {
  const turned = b.op(
    'Transpose',
    [k],
    { perm: [...range(0, rank - 2), rank - 1, rank - 2] },
    `${name}/key_transposed`,
  );
  let scores = b.op('MatMul', [q, turned], {}, `${name}/scores`);
  if (mask) scores = b.op('Where', [mask, scores, b.scalar(MASKED_SCORE)], {}, `${name}/masked_scores`);
  let shares = b.op('Softmax', [scores], { axis: -1 }, `${name}/softmax`);
  if (mask && keepsScores) shares = b.op('Where', [mask, shares, b.scalar(0)], {}, `${name}/visible`);
  return { mixed: b.op('MatMul', [shares, v], {}, `${name}/mixed`), scores: shares };
}

/** Kernels and biases in the order query, key, (gate,) value, output. */
function projections(ctx: LayerContext): Record<'query' | 'key' | 'gate' | 'value' | 'output', Projection> {
  const biased = flag(ctx.config, 'use_bias', true);
  const names = ['query', 'key', ...(flag(ctx.config, 'use_gate', false) ? ['gate'] : []), 'value', 'output'];
  const at = (what: string): Projection => {
    const index = names.indexOf(what) * (biased ? 2 : 1);
    return {
      kernel: weight(ctx, index, `${what} kernel`),
      bias: biased ? weight(ctx, index + 1, `${what} bias`) : null,
    };
  };
  return {
    query: at('query'),
    key: at('key'),
    gate: names.includes('gate') ? at('gate') : at('query'),
    value: at('value'),
    output: at('output'),
  };
}

/** Query, value and key of a call, positional or by name. */
function threeInputs(ctx: LayerContext): { query: Signal; value: Signal; key: Signal; keyGiven: boolean } {
  const at = (index: number, name: string): Signal | undefined => ctx.inputs[index] ?? keyword(ctx, name);
  const query = at(0, 'query') ?? input(ctx);
  const value = at(1, 'value') ?? query;
  const key = at(2, 'key');
  return { query, value, key: key ?? value, keyGiven: key !== undefined };
}

/** The sum over heads: [b, ..., heads, size] times [heads, size, ...out]. */
function output(
  { b, name }: LayerContext,
  joined: string,
  rank: number,
  { kernel, bias }: Projection,
): { value: string; sizes: number[] } {
  const [heads, size, ...out] = kernel.dims as [number, number, ...number[]];
  const width = out.reduce((a, d) => a * d, 1);
  const flat = b.op(
    'Reshape',
    [joined, b.ints([...range(0, rank - 1).map(() => 0), heads * size])],
    {},
    `${name}/joined`,
  );
  let result = b.op(
    'MatMul',
    [flat, b.weight(`${name}/output/kernel`, [heads * size, width], kernel.values)],
    {},
    `${name}/output`,
  );
  if (bias)
    result = b.op('Add', [result, b.weight(`${name}/output/bias`, [width], bias.values)], {}, `${name}/output_biased`);
  return {
    value:
      out.length === 1
        ? result
        : b.op('Reshape', [result, b.ints([...range(0, rank - 1).map(() => 0), ...out])], {}, `${name}/output_shaped`),
    sizes: out,
  };
}

function scaled({ b, name }: LayerContext, q: string, size: number): string {
  return b.op('Mul', [q, b.scalar(1 / Math.sqrt(size))], {}, `${name}/scaled_query`);
}

/** The heads' results times sigmoid(x G + g), element by element; [b, ..., heads, size]. */
function gated(ctx: LayerContext, joined: string, query: string, rank: number, gate: Projection): string {
  if (!flag(ctx.config, 'use_gate', false)) return joined;
  const open = ctx.b.op('Sigmoid', [project(ctx, query, rank, gate, 'gate')], {}, `${ctx.name}/gate_open`);
  return ctx.b.op('Mul', [joined, open], {}, `${ctx.name}/gated`);
}

const wantsScores = (ctx: LayerContext): boolean => ctx.callArguments['return_attention_scores'] === true;

const multiHeadAttention: LayerConverter = (ctx) => {
  const { b, config } = ctx;
  const { query, value, key, keyGiven } = threeInputs(ctx);
  const rank = query.shape.length;
  if (value.shape.length !== rank || key.shape.length !== rank)
    throw new UnsupportedLayer('attention between tensors of different ranks');
  const masks = { query: ctx.maskOf(query), value: ctx.maskOf(value), key: keyGiven ? ctx.maskOf(key) : null };
  const axes = attentionAxes(config['attention_axes'], rank);
  const parts = projections(ctx);
  const [x, y, z] = [plain(b, query), plain(b, value), plain(b, key)];
  const keepsScores = number(config, 'dropout', 0) > 0 || wantsScores(ctx) || rank !== 3;
  const mask = attentionMask(ctx, query, value, masks);
  const wide = mask && unsqueezed(ctx, mask, rank, keyword(ctx, 'attention_mask'));
  const q = byHead(
    ctx,
    scaled(ctx, project(ctx, x, rank, parts.query, 'query'), headsOf(parts.query).size),
    axes,
    headsOf(parts.query).size,
    'query',
  );
  const k = byHead(ctx, project(ctx, z, rank, parts.key, 'key'), axes, headsOf(parts.key).size, 'key');
  const v = byHead(ctx, project(ctx, y, rank, parts.value, 'value'), axes, headsOf(parts.value).size, 'value');
  const { mixed, scores } = attend(ctx, q, k, v, axes.free.length + 4, wide, keepsScores);
  const joined = gated(ctx, byStep(ctx, mixed, axes, query, headsOf(parts.value).size), x, rank, parts.gate);
  const { value: result, sizes } = output(ctx, joined, rank, parts.output);
  if (ctx.kerasMajor >= 3) for (const signal of [query, value, key]) ctx.setMask(signal, null);
  const attention = plainSignal(result, [...query.shape.slice(0, -1), ...sizes]);
  const outputs = [attention];
  ctx.setMask(attention, masks.query);
  const attended = itemOf(axes.attended, 0, 'attention_axes');
  if (axes.attended.length > 1 && (mask || wantsScores(ctx)))
    throw new UnsupportedLayer('masks and scores of attention over several axes');
  if (wantsScores(ctx))
    outputs.push(
      plainSignal(scores, [
        query.shape[0] ?? null,
        ...axes.free.map((axis) => query.shape[axis] ?? null),
        headsOf(parts.query).heads,
        query.shape[attended] ?? null,
        value.shape[attended] ?? null,
      ]),
    );
  return outputs;
};

/** The axes that are attended over: all between batch and features, unless the layer names them. */
function attentionAxes(given: unknown, rank: number): Axes {
  const attended =
    given == null
      ? range(1, rank - 1)
      : [given].flat().map((axis) => (Number(axis) < 0 ? Number(axis) + rank : Number(axis)));
  return { attended, free: range(1, rank - 1).filter((axis) => !attended.includes(axis)), rank };
}

/** A mask [n, t, s] gets axes of one for the heads; one of [n, heads, t, s] stays. */
function unsqueezed({ b, name }: LayerContext, mask: string, rank: number, given: Signal | undefined): string {
  const own = given?.shape.length ?? 3;
  const missing = Math.max(rank + 1 - own, 0);
  return missing === 0
    ? mask
    : b.op('Unsqueeze', [mask, b.ints(range(0, missing).map((i) => -3 - i))], {}, `${name}/mask_by_head`);
}

const groupQueryAttention: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const { query, value, key, keyGiven } = threeInputs(ctx);
  const masks = { query: ctx.maskOf(query), value: ctx.maskOf(value), key: keyGiven ? ctx.maskOf(key) : null };
  const parts = projections(ctx);
  const { heads, size } = headsOf(parts.query);
  const axes: Axes = { free: [], attended: [1], rank: 3 };
  const x = plain(b, query);
  const mask = attentionMask(ctx, query, value, masks);
  const wide = mask && unsqueezed(ctx, mask, 3, keyword(ctx, 'attention_mask'));
  const repeated = (signal: Signal, part: Projection, label: string): string =>
    repeatHeads(
      ctx,
      byHead(ctx, project(ctx, plain(b, signal), 3, part, label), axes, size, label),
      headsOf(part).heads,
      heads,
      label,
    );
  const q = byHead(ctx, scaled(ctx, project(ctx, x, 3, parts.query, 'query'), size), axes, size, 'query');
  const keepsScores = number(config, 'dropout', 0) > 0 || wantsScores(ctx);
  const { mixed, scores } = attend(
    ctx,
    q,
    repeated(key, parts.key, 'key'),
    repeated(value, parts.value, 'value'),
    4,
    wide,
    keepsScores,
  );
  const joined = gated(ctx, b.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }, `${name}/by_step`), x, 3, parts.gate);
  const { value: result, sizes } = output(ctx, joined, 3, parts.output);
  const outputs = [plainSignal(result, [...query.shape.slice(0, -1), ...sizes])];
  if (wantsScores(ctx))
    outputs.push(plainSignal(scores, [query.shape[0] ?? null, heads, query.shape[1] ?? null, value.shape[1] ?? null]));
  return outputs;
};

/** [b, kv heads, s, size] -> [b, heads, s, size]: each head several times, one after the other. */
function repeatHeads({ b, name }: LayerContext, x: string, from: number, to: number, label: string): string {
  if (from === to) return x;
  const tiled = b.op(
    'Tile',
    [b.op('Unsqueeze', [x, b.ints([2])], {}, `${name}/${label}_single`), b.ints([1, 1, to / from, 1, 1])],
    {},
    `${name}/${label}_tiled`,
  );
  const shape = b.op(
    'Concat',
    [b.ints([0, to]), b.op('Shape', [x], { start: 2, end: 4 }, `${name}/${label}_steps`)],
    { axis: 0 },
    `${name}/${label}_shape`,
  );
  return b.op('Reshape', [tiled, shape], {}, `${name}/${label}_repeated`);
}

/** Scores of [n, t, d] against [n, s, d]: dot products, or sums of tanh (additive). */
function scoresOf(ctx: LayerContext, query: string, key: string, additive: boolean): string {
  const { b, name, config } = ctx;
  const scale = flag(config, 'use_scale', ctx.className === 'AdditiveAttention') ? weight(ctx, 0, 'scale') : null;
  const factor = scale && b.weight(`${name}/scale`, scale.dims, scale.values);
  if (!additive) {
    const scores = b.op(
      'MatMul',
      [query, b.op('Transpose', [key], { perm: [0, 2, 1] }, `${name}/keys`)],
      {},
      `${name}/scores`,
    );
    return factor ? b.op('Mul', [scores, factor], {}, `${name}/scaled`) : scores;
  }
  const sums = b.op(
    'Add',
    [
      b.op('Unsqueeze', [query, b.ints([2])], {}, `${name}/queries`),
      b.op('Unsqueeze', [key, b.ints([1])], {}, `${name}/keys`),
    ],
    {},
    `${name}/sums`,
  );
  const total = (x: string): string => b.op('ReduceSum', [x, b.ints([-1])], { keepdims: 0 }, `${name}/scores`);
  if (ctx.className === 'AdditiveAttention') {
    const bent = b.op('Tanh', [sums], {}, `${name}/tanh`);
    return total(factor ? b.op('Mul', [bent, factor], {}, `${name}/scaled`) : bent);
  }
  const concat = b.weight(`${name}/concat_score_weight`, [], weight(ctx, scale ? 1 : 0, 'concat score weight').values);
  return b.op(
    'Mul',
    [
      total(b.op('Tanh', [factor ? b.op('Mul', [sums, factor], {}, `${name}/scaled`) : sums], {}, `${name}/tanh`)),
      concat,
    ],
    {},
    `${name}/weighted`,
  );
}

/** Keras's Attention and AdditiveAttention: inputs [query, value(, key)] of [n, t, d]. */
const attention: LayerConverter = (ctx): Signal | Signal[] => {
  const { b, name, config, callArguments } = ctx;
  const [query, value] = [input(ctx, 0), input(ctx, 1)];
  const key = ctx.inputs[2] ?? value;
  if ([query, value, key].some(({ shape }) => shape.length !== 3))
    throw new UnsupportedLayer('attention over tensors of other ranks than 3');
  const [queryMask, valueMask] = [ctx.masks[0] ?? null, ctx.masks[1] ?? null];
  let scores = scoresOf(
    ctx,
    plain(b, query),
    plain(b, key),
    ctx.className === 'AdditiveAttention' || config['score_mode'] === 'concat',
  );
  const causal = callArguments['use_causal_mask'] === true || flag(config, 'causal', false);
  const seen = [
    ...(valueMask ? [b.op('Unsqueeze', [valueMask, b.ints([1])], {}, `${name}/value_mask`)] : []),
    ...(causal ? [causalMask(ctx, query, value)] : []),
  ];
  if (seen.length > 0) {
    const mask = seen.reduce((all, next) => b.op('And', [all, next], {}, `${name}/mask`));
    scores = b.op(
      'Where',
      [mask, scores, b.op('Sub', [scores, b.scalar(1e9)], {}, `${name}/lowered`)],
      {},
      `${name}/masked_scores`,
    );
  }
  const shares = b.op('Softmax', [scores], { axis: -1 }, `${name}/softmax`);
  let mixed = b.op('MatMul', [shares, plain(b, value)], {}, `${name}/mixed`);
  if (queryMask)
    mixed = b.op(
      'Where',
      [b.op('Unsqueeze', [queryMask, b.ints([-1])], {}, `${name}/query_mask`), mixed, b.scalar(0)],
      {},
      `${name}/kept`,
    );
  const result = plainSignal(mixed, [query.shape[0] ?? null, query.shape[1] ?? null, value.shape[2] ?? null]);
  ctx.setMask(result, queryMask);
  return wantsScores(ctx)
    ? [result, plainSignal(shares, [query.shape[0] ?? null, query.shape[1] ?? null, value.shape[1] ?? null])]
    : result;
};

export const ATTENTION_LAYERS: Readonly<Record<string, LayerConverter>> = {
  MultiHeadAttention: multiHeadAttention,
  GroupQueryAttention: groupQueryAttention,
  GroupedQueryAttention: groupQueryAttention,
  Attention: attention,
  AdditiveAttention: attention,
};
