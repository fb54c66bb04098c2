/**
 * Rotary position embedding (Su et al., 2021): pairs of features are turned by an angle that grows with the position.
 */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { firstInput, ONNX_ORDER } from './define.ts';
import { gatherAxis } from './device/rows.ts';
import type { Operator, RunContext } from './operator.ts';
import { sameType } from './shapes.ts';

/** x [b, s, n, d]; cos and sin [b, s, 1, d / 2]. */
function rotate(x: TfTensor, cos: TfTensor, sin: TfTensor, interleaved: boolean): TfTensor {
  const half = nth(x.shape, 3) / 2;
  const [batch, length, heads] = x.shape as [number, number, number];
  const pairs = interleaved
    ? tf.reshape(x, [batch, length, heads, half, 2])
    : tf.reshape(x, [batch, length, heads, 2, half]);
  const axis = interleaved ? 4 : 3;
  const [first, second] = tf.unstack(pairs, axis) as [TfTensor, TfTensor];
  const turned = tf.stack(
    [tf.sub(tf.mul(cos, first), tf.mul(sin, second)), tf.add(tf.mul(sin, first), tf.mul(cos, second))],
    axis,
  );
  return tf.reshape(turned, x.shape);
}

/** The first `size` features of each head of x [b, s, n, d], turned by rows [b or 1, s, half] of the caches. */
export function rotateHeads(
  x: TfTensor,
  rows: { cos: TfTensor; sin: TfTensor },
  size: number,
  interleaved: boolean,
): TfTensor {
  const [cos, sin] = [rows.cos, rows.sin].map((row) =>
    tf.expandDims(tf.slice(row, [0, 0, 0], [-1, -1, size / 2]), 2),
  ) as [TfTensor, TfTensor];
  const turned = rotate(tf.slice(x, [0, 0, 0, 0], [-1, -1, -1, size]), cos, sin, interleaved);
  return size === x.shape[3] ? turned : tf.concat([turned, tf.slice(x, [0, 0, 0, size], [-1, -1, -1, -1])], 3);
}

/** Rows of a cache [positions, half] at positions [b, s], or at `length` positions from one on: [b or 1, s, half]. */
export function cacheRows(cache: TfTensor, positions: TfTensor, length: number): TfTensor {
  const at = tf.cast(positions, 'int32');
  return gatherAxis(cache, at.rank === 1 ? tf.expandDims(tf.add(at, tf.range(0, length, 1, 'int32')), 0) : at, 0);
}

interface Places {
  readonly cos: number;
  readonly sin: number;
  readonly positions: number;
}

/** Of rank 4 the input is [b, n, s, d], of rank 3 [b, s, n * d]. */
function run(ctx: RunContext, { cos, sin, positions }: Places): TfTensor[] {
  const x = ctx.tensor(0);
  const heads = ctx.int('num_heads', 0);
  if (x.rank === 3 && heads < 1) throw new GraphError('num_heads is needed for an input of rank 3');
  const byPosition =
    x.rank === 4
      ? tf.transpose(x, [0, 2, 1, 3])
      : tf.reshape(x, [nth(x.shape, 0), nth(x.shape, 1), heads, nth(x.shape, 2) / heads]);
  const size = ctx.int('rotary_embedding_dim', 0) || nth(byPosition.shape, 3);
  const rows = (input: number): TfTensor =>
    ctx.has(positions)
      ? cacheRows(ctx.tensor(input), ctx.tensor(positions), nth(byPosition.shape, 1))
      : ctx.tensor(input);
  const whole = rotateHeads(byPosition, { cos: rows(cos), sin: rows(sin) }, size, ctx.int('interleaved', 0) === 1);
  return [x.rank === 4 ? tf.transpose(whole, [0, 2, 1, 3]) : tf.reshape(whole, x.shape)];
}

export const rotaryOperators: readonly Operator[] = [
  {
    type: 'RotaryEmbedding',
    domain: '',
    since: 23,
    layout: ONNX_ORDER,
    differentiability: firstInput(0, 1, 2),
    infer: sameType(),
    device: (ctx) => run(ctx, { cos: 1, sin: 2, positions: 3 }),
  },
  {
    type: 'RotaryEmbedding',
    domain: 'com.microsoft',
    since: 1,
    layout: ONNX_ORDER,
    differentiability: firstInput(0, 2, 3),
    infer: sameType(),
    device: (ctx) => run(ctx, { cos: 2, sin: 3, positions: 1 }), // position 1 may be one number: that of the first
  },
];
