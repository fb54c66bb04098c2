/** Attention as one operator: all heads lose the same positions, and queries lose those that keys lose. */
import { shapeOf } from '../shapes.ts';
import { nth } from '../../ir/checked-access.ts';
import type { AxisUnits } from './units.ts';
import type { Attribute } from '../../ir/types.ts';
import type { NodeInfo } from '../../ir/node-info.ts';
import { tieAcrossGroups, keepAll, tiled, type ChannelRule, type Coupling, type ValueUnits } from './rule.ts';

/** Where an attention operator takes its operands. */
export interface AttentionForm {
  /** Heads of queries, and of keys and values. */
  queries(info: NodeInfo): number;
  keys(info: NodeInfo): number;
  /** The input that holds biases of all three in a row, [3 n d]. */
  readonly bias?: number;
  /** Inputs of earlier keys and values; where they are given, nothing is removed. */
  readonly past: readonly number[];
}

/** Queries, keys and values at inputs 0 to 2: [b, s, n * d] or [b, n, s, d]. */
export function attention(form: AttentionForm): ChannelRule {
  return {
    kind: 'passes',
    couple: (ctx) => {
      const [q, k, v] = [0, 1, 2].map((input) => ctx.input(input));
      const bias = form.bias === undefined ? null : ctx.input(form.bias);
      const cached =
        form.past.some((input) => (ctx.info.node.inputs[input] ?? '') !== '') ||
        ctx.info.node.outputs.slice(1).some((name) => name !== '');
      const none = ctx.info.node.outputs.map(() => null);
      if (!q || !k || !v || q.length !== k.length || q.length !== v.length || cached) {
        for (const units of [q, k, v, bias]) keepAll(ctx, units ?? null);
        return none;
      }
      const [queryHeads, keyHeads] = [form.queries(ctx.info), form.keys(ctx.info)];
      const size = (units: ValueUnits, count: number): AxisUnits =>
        units.length === 4 ? (ctx.freeze(nth(units, 1)), nth(units, 3)) : tieAcrossGroups(ctx, nth(units, 2), count);
      if (bias) coupleBias(ctx, bias, [q, k, v]);
      ctx.same(size(q, queryHeads), size(k, keyHeads));
      const value = size(v, keyHeads);
      return [
        q.length === 4
          ? [nth(q, 0), null, nth(q, 2), value]
          : [nth(q, 0), nth(q, 1), value && tiled(value, queryHeads)],
        ...none.slice(1),
      ];
    },
    shrink: (ctx) => {
      const q = ctx.input(0);
      if (!ctx.shrinks(q.at(-1))) return {};
      const width = shapeOf(ctx.info)?.at(-1) as number;
      const size = q.length === 4 ? width : width / form.queries(ctx.info);
      const scale: Attribute = { kind: 'float', value: ctx.info.float('scale', 0) || 1 / Math.sqrt(size) };
      return { attributes: { scale } }; // the scale of the heads' former size is part of the trained function
    },
  };
}

function coupleBias(ctx: Coupling, bias: ValueUnits, parts: readonly ValueUnits[]): void {
  const labels = bias[0];
  if (!labels) {
    for (const part of parts) ctx.freeze(nth(part, -1));
    return;
  }
  let start = 0;
  for (const part of parts) {
    const axis = nth(part, -1);
    const size = axis?.length ?? labels.length - start;
    ctx.same(axis, labels.subarray(start, start + size));
    start += size;
  }
}
