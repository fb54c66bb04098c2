/** Recurrent layers: a hidden unit is one row of every gate, in each direction. */
import { nth } from '../../ir/checked-access.ts';
import { tieAcrossGroups, int, keepAll, type ChannelRule, type Coupling, type ValueUnits } from './rule.ts';

/**
 * Inputs: x [s, b, i], W [d, g h, i], R [d, g h, h], B [d, 2 g h], lengths, initial h and c [d, b, h], P [d, 3 h]. With
 * `layout` 1 batches come first.
 */
export function recurrence(gates: number): ChannelRule {
  return {
    kind: 'removes',
    couple: (ctx) => {
      const [x, w, r, b] = [0, 1, 2, 3].map((input) => ctx.input(input));
      const hidden = x && w && r ? hiddenUnits(ctx, nth(w, 1), gates, ctx.info.types[2]?.shape?.[2]) : null;
      if (!x || !w || !r || !hidden) {
        for (let input = 0; input < ctx.info.node.inputs.length; input++) keepAll(ctx, ctx.input(input));
        return ctx.info.node.outputs.map(() => null);
      }
      ctx.same(nth(x, 2), nth(w, 2));
      for (const axis of [nth(r, 1), b?.[1], ctx.input(7)?.[1]]) if (axis !== undefined) sameHidden(ctx, axis, hidden);
      ctx.same(nth(r, 2), hidden);
      for (const input of [5, 6]) {
        const state = ctx.input(input);
        if (state) ctx.same(nth(state, 2), hidden);
      }
      for (const kernel of [w, r]) ctx.makes(nth(kernel, 1));
      return ctx.info.node.outputs.map((_, i): ValueUnits => [...new Array<null>(i === 0 ? 3 : 2).fill(null), hidden]);
    },
    shrink: (ctx) => {
      const hidden = ctx.input(2)[2];
      return ctx.shrinks(hidden) ? { attributes: { hidden_size: int(ctx.size(hidden)) } } : {};
    },
  };
}

/** Labels of the h hidden units, which every gate has. */
function hiddenUnits(ctx: Coupling, gated: Int32Array | null, gates: number, size: unknown): Int32Array | null {
  if (!gated || typeof size !== 'number' || gated.length !== gates * size || size < 2) return null;
  return tieAcrossGroups(ctx, gated, gates);
}

/** An axis of several times h. */
function sameHidden(ctx: Coupling, axis: Int32Array | null, hidden: Int32Array): void {
  if (!axis) ctx.freeze(hidden);
  axis?.forEach((unit, i) => ctx.unite(unit, hidden[i % hidden.length]!));
}
