/**
 * Normalizations and pooling: channels pass, with the scale and shift that each has. Statistics over channels become
 * those of the channels that stay.
 */
import { nth } from '../../ir/checked-access.ts';
import { broadcastUnits } from './elementwise.ts';
import { tieAcrossGroups, keepAll, type ChannelRule, type Coupling } from './rule.ts';

/** x [n, c, ...], and vectors [c] at these inputs. */
export function perChannel(...vectors: readonly number[]): ChannelRule {
  return {
    kind: 'passes',
    couple: (ctx) => {
      const x = ctx.input(0);
      const channels =
        x &&
        vectors.reduce((axis, input) => {
          const vector = ctx.input(input);
          return vector ? ctx.same(axis, vector[0] ?? null) : axis;
        }, x[1] ?? null);
      if (!x) for (const input of vectors) keepAll(ctx, ctx.input(input));
      const y = x && [nth(x, 0), channels, ...x.slice(2)];
      return ctx.info.node.outputs.map((_, i) =>
        i === 0 ? y : ctx.output(i)?.shape?.length === 1 ? [channels] : null,
      );
    },
  };
}

/**
 * Scale and shift at `operands` broadcast to the last axes; outputs beside the first that are as large pass too (the
 * sum of SkipLayerNormalization).
 */
export function overLastAxes(operands: readonly number[], summands: readonly number[] = [0]): ChannelRule {
  return {
    kind: 'passes',
    couple: (ctx) => {
      const used = [...summands, ...operands].filter((input) => (ctx.info.node.inputs[input] ?? '') !== '');
      const y = broadcastUnits(ctx, used);
      return ctx.info.node.outputs.map((_, i) => (i === 0 || sameShape(ctx, i) ? y : null));
    },
  };
}

function sameShape(ctx: Coupling, output: number): boolean {
  const [first, other] = [ctx.output(0)?.shape, ctx.output(output)?.shape];
  return first != null && other != null && first.length === other.length && first.every((dim, i) => dim === other[i]);
}

/** x [n, c, ...] in groups that stay equally large; scale and shift per channel since opset 21, per group before. */
export const groupNormalization: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const x = ctx.input(0);
    const vectors = [ctx.input(1), ctx.input(2)];
    if (!x) {
      for (const units of vectors) keepAll(ctx, units);
      return [null];
    }
    tieAcrossGroups(ctx, x[1] ?? null, ctx.info.int('num_groups', 1));
    for (const vector of vectors) {
      if (ctx.info.opset >= 21) ctx.same(x[1] ?? null, vector?.[0] ?? null);
      else keepAll(ctx, vector);
    }
    return [x];
  },
};

/** x [n, c, ...] -> [n, c, ...']: windows over positions. */
export const overPositions: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const x = keepAll(ctx, ctx.input(0), (axis) => axis >= 2);
    return ctx.info.node.outputs.map((_, i) => (x && ctx.output(i)?.shape?.length === x.length ? x : null));
  },
};

/** x [n, c, h, w] and regions [r, ...] -> [r, c, h', w']. */
export const overRegions: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const x = keepAll(ctx, ctx.input(0), (axis) => axis !== 1);
    return [x && [null, x[1] ?? null, null, null]];
  },
};
