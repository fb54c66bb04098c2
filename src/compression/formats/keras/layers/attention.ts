/**
 * Attention: multi-head and grouped-query (Vaswani et al. 2017, eq. 1; Ainslie et al. 2023), dot-product and additive
 * (Bahdanau et al. 2015).
 */
import { itemOf } from '../../../ir/checked-access.ts';
import { input, keyword, number, UnsupportedLayer, type LayerContext, type LayerConverter } from '../layer.ts';
import { plain, plainSignal, range, type Signal } from '../signal.ts';
import { attention, wantsScores } from './attention/dot-product.ts';
import {
  attentionAxes,
  type Axes,
  byHead,
  byStep,
  gated,
  headsOf,
  output,
  project,
  type Projected,
  type Projection,
  projections,
  repeatHeads,
  scaled,
} from './attention/heads.ts';
import { attentionMask, unsqueezed } from './attention/masks.ts';

/** Keras's value of masked scores before the softmax: -0.7 of the largest float32. */
const MASKED_SCORE = -0.7 * 3.4028234663852886e38;

interface Attending {
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly rank: number;
  readonly mask: string | null;
  readonly keepsScores: boolean;
}

/**
 * softmax(q kᵀ) v over [..., t, size]. Where Keras keeps the scores (dropout, scores wanted) rows without any visible
 * step become zeros; where it uses its fused attention they become the mean.
 */
function attend(
  { b, name }: LayerContext,
  { q, k, v, rank, mask, keepsScores }: Attending,
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

/** Query, value and key of a call, positional or by name. */
function threeInputs(ctx: LayerContext): { query: Signal; value: Signal; key: Signal; keyGiven: boolean } {
  const at = (index: number, name: string): Signal | undefined => ctx.inputs[index] ?? keyword(ctx, name);
  const query = at(0, 'query') ?? input(ctx);
  const value = at(1, 'value') ?? query;
  const key = at(2, 'key');
  return { query, value, key: key ?? value, keyGiven: key !== undefined };
}

/** x as heads: projected, scaled by `1 / sqrt(size)` if it is the query, the attended axes next to the features. */
function heads(
  ctx: LayerContext,
  { x, projection, label }: Omit<Projected, 'rank'>,
  axes: Axes,
  scale = false,
): string {
  const { size } = headsOf(projection);
  const projected = project(ctx, { x, rank: axes.rank, projection, label });
  return byHead(ctx, { x: scale ? scaled(ctx, projected, size) : projected, axes, size, label });
}

const multiHeadAttention: LayerConverter = (ctx) => {
  const { b, config } = ctx;
  const { query, value, key, keyGiven } = threeInputs(ctx);
  const rank = query.shape.length;
  if (value.shape.length !== rank || key.shape.length !== rank)
    throw new UnsupportedLayer('attention between tensors of different ranks is not supported');
  const masks = { query: ctx.maskOf(query), value: ctx.maskOf(value), key: keyGiven ? ctx.maskOf(key) : null };
  const axes = attentionAxes(config['attention_axes'], rank);
  const parts = projections(ctx);
  const [x, y, z] = [plain(b, query), plain(b, value), plain(b, key)];
  const keepsScores = number(config, 'dropout', 0) > 0 || wantsScores(ctx) || rank !== 3;
  const mask = attentionMask(ctx, query, value, masks);
  const wide = mask && unsqueezed(ctx, mask, rank, keyword(ctx, 'attention_mask'));
  const q = heads(ctx, { x, projection: parts.query, label: 'query' }, axes, true);
  const k = heads(ctx, { x: z, projection: parts.key, label: 'key' }, axes);
  const v = heads(ctx, { x: y, projection: parts.value, label: 'value' }, axes);
  const { mixed, scores } = attend(ctx, { q, k, v, rank: axes.free.length + 4, mask: wide, keepsScores });
  const joined = gated(ctx, {
    joined: byStep(ctx, { mixed, axes, query, size: headsOf(parts.value).size }),
    query: x,
    rank,
    gate: parts.gate,
  });
  const { value: result, sizes } = output(ctx, joined, rank, parts.output);
  if (ctx.kerasMajor >= 3) for (const signal of [query, value, key]) ctx.setMask(signal, null);
  const attention = plainSignal(result, [...query.shape.slice(0, -1), ...sizes]);
  const outputs = [attention];
  ctx.setMask(attention, masks.query);
  const attended = itemOf(axes.attended, 0, 'attention_axes');
  if (axes.attended.length > 1 && (mask || wantsScores(ctx)))
    throw new UnsupportedLayer('masks and scores of attention over several axes are not supported');
  if (!wantsScores(ctx)) return outputs;
  const free = axes.free.map((axis) => query.shape[axis] ?? null);
  const steps = [query.shape[attended] ?? null, value.shape[attended] ?? null];
  return [...outputs, plainSignal(scores, [query.shape[0] ?? null, ...free, headsOf(parts.query).heads, ...steps])];
};

const groupQueryAttention: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const { query, value, key, keyGiven } = threeInputs(ctx);
  const masks = { query: ctx.maskOf(query), value: ctx.maskOf(value), key: keyGiven ? ctx.maskOf(key) : null };
  const parts = projections(ctx);
  const { heads: count } = headsOf(parts.query);
  const axes: Axes = { free: [], attended: [1], rank: 3 };
  const x = plain(b, query);
  const mask = attentionMask(ctx, query, value, masks);
  const wide = mask && unsqueezed(ctx, mask, 3, keyword(ctx, 'attention_mask'));
  const repeated = (signal: Signal, part: Projection, label: string): string =>
    repeatHeads(ctx, {
      x: heads(ctx, { x: plain(b, signal), projection: part, label }, axes),
      from: headsOf(part).heads,
      to: count,
      label,
    });
  const q = heads(ctx, { x, projection: parts.query, label: 'query' }, axes, true);
  const keepsScores = number(config, 'dropout', 0) > 0 || wantsScores(ctx);
  const { mixed, scores } = attend(ctx, {
    q,
    k: repeated(key, parts.key, 'key'),
    v: repeated(value, parts.value, 'value'),
    rank: 4,
    mask: wide,
    keepsScores,
  });
  const joined = gated(ctx, {
    joined: b.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }, `${name}/by_step`),
    query: x,
    rank: 3,
    gate: parts.gate,
  });
  const { value: result, sizes } = output(ctx, joined, 3, parts.output);
  const outputs = [plainSignal(result, [...query.shape.slice(0, -1), ...sizes])];
  if (wantsScores(ctx))
    outputs.push(plainSignal(scores, [query.shape[0] ?? null, count, query.shape[1] ?? null, value.shape[1] ?? null]));
  return outputs;
};

export const ATTENTION_LAYERS: Readonly<Record<string, LayerConverter>> = {
  MultiHeadAttention: multiHeadAttention,
  GroupQueryAttention: groupQueryAttention,
  GroupedQueryAttention: groupQueryAttention,
  Attention: attention,
  AdditiveAttention: attention,
};
