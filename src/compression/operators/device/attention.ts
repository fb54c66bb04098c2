/**
 * Attention of operands as models have them: of rank 3 or 4, their axes in any order, batch and heads broadcast as in
 * products of matrices.
 */
import { nth } from '../../ir/checked-access.ts';
import { GraphError } from '../../ir/graph-error.ts';
import * as nn from '../../tensor/nn.ts';
import type { HeadOrder } from '../../tensor/nn.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';
import { broadcastShapes } from '../shapes.ts';
import { spread } from './elementwise.ts';

/**
 * Where a tensor has its axes: permuted by it, it is [batch, heads, tokens, features], or of rank 3 without heads. The
 * features are its last.
 */
export type AxisOrder = readonly number[];

export interface Heads {
  readonly x: TfTensor;
  readonly order: AxisOrder;
}

export interface AttentionInputs {
  readonly query: Heads;
  readonly key: Heads;
  readonly value: Heads;
  readonly scale: number;
  /** Added to the scaled scores [b, n, queries, keys] (rank 3: [b, queries, keys]), broadcasting. */
  readonly mask: TfTensor | null;
  /** A gradient may flow into the mask. */
  readonly maskLearns: boolean;
  /** Of the result. */
  readonly order: AxisOrder;
}

/** [b, s, n * d] as heads where they lie, [b, s, n, d]; a tensor of rank 4 is [b, n, s, d] already. */
export function headsOf(x: TfTensor, heads: number): Heads {
  if (x.rank === 4) return { x, order: nn.HEADS_FIRST };
  const [batch, length, hidden] = x.shape as [number, number, number];
  if (heads < 1 || hidden % heads !== 0) throw new GraphError(`${hidden} features cannot be split into ${heads} heads`);
  return { x: tf.reshape(x, [batch, length, heads, hidden / heads]), order: nn.TOKENS_FIRST };
}

/** Each head of keys for a block of heads of queries, until there is one for each of them. */
export function groupHeads({ x, order }: Heads, heads: number): Heads {
  const axis = nth(order, 1);
  const own = nth(x.shape, axis);
  if (own === heads) return { x, order };
  if (own < 1 || heads % own !== 0) throw new GraphError(`${heads} heads of queries cannot share ${own} heads of keys`);
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
  const size = after.reduce((a, b) => a * b, 1);
  return {
    x: tf.reshape(tf.tile(tf.reshape(x, [-1, 1, size]), [1, heads / own, 1]), [...before, heads, ...after]),
    order,
  };
}

/** softmax(q k' * scale + mask) v. */
export function attend({ query, key, value, scale, mask, maskLearns, order }: AttentionInputs): TfTensor {
  const flat = query.x.rank === 3;
  const [q, k, v] = [query, key, value].map(ofRank4) as [Rank4, Rank4, Rank4];
  const bias = mask && ofScores(mask, flat);
  const columns = sizeOf(v, 2);
  const batch = broadcastShapes(
    ...[q, k, v].map((operand) => [sizeOf(operand, 0), sizeOf(operand, 1)]),
    bias ? bias.shape.slice(0, 2) : [],
  ) as number[];
  const [rows] = broadcastShapes([sizeOf(q, 2)], [bias?.shape[2] ?? 1]) as [number];
  const wide = bias && bias.shape[3] !== columns ? spread(bias, [...bias.shape.slice(0, 3), columns]) : bias;
  const orders = { q: q.order, k: k.order, v: v.order, y: orderOf(order) };
  const result = nn.attention(
    spreadTo(q, [...batch, rows]),
    spreadTo(k, [...batch, columns]),
    spreadTo(v, [...batch, columns]),
    { scale, mask: wide, maskLearns, orders },
  );
  return flat ? tf.reshape(result, result.shape.slice(1)) : result;
}

interface Rank4 {
  readonly x: TfTensor;
  readonly order: HeadOrder;
}

function ofRank4({ x, order }: Heads): Rank4 {
  return { x: x.rank === 3 ? tf.expandDims(x, 0) : x, order: orderOf(order) };
}

/** Without heads, one head is the first axis. */
function orderOf(order: AxisOrder): HeadOrder {
  return (order.length === 3 ? [nth(order, 0) + 1, 0, nth(order, 1) + 1, 3] : [...order]) as unknown as HeadOrder;
}

function ofScores(mask: TfTensor, flat: boolean): TfTensor {
  const rank = flat ? 3 : 4;
  const full = [...new Array<number>(rank - mask.rank).fill(1), ...mask.shape];
  return tf.reshape(mask, flat ? [nth(full, 0), 1, nth(full, 1), nth(full, 2)] : full);
}

/** Of [batch, heads, tokens, features]. */
function sizeOf({ x, order }: Rank4, axis: number): number {
  return nth(x.shape, order[axis]!);
}

/** Copied to this batch, these heads and tokens. */
function spreadTo({ x, order }: Rank4, sizes: readonly number[]): TfTensor {
  const shape = [...x.shape];
  sizes.forEach((size, i) => {
    shape[order[i]!] = size;
  });
  return shape.every((size, i) => size === x.shape[i]) ? x : spread(x, shape);
}
