/** Reductions: over channels, those that stay are reduced; the remaining axes pass. */
import type { NodeInfo } from '../../ir/node-info.ts';
import type { ChannelRule } from './rule.ts';

/** `axesOf`: the axes that go, counted from the start; null where they are not known before running. */
export function reducing(axesOf: (info: NodeInfo, rank: number) => readonly number[] | null): ChannelRule {
  return {
    kind: 'passes',
    couple: (ctx) => {
      const units = ctx.input(0);
      const axes = units && axesOf(ctx.info, units.length);
      if (!units || !axes) {
        for (const axis of units ?? []) ctx.freeze(axis);
        return [null];
      }
      const keep = ctx.info.int('keepdims', 1) === 1;
      return [units.flatMap((axis, i) => (axes.includes(i) ? (keep ? [null] : []) : [axis]))];
    },
  };
}
