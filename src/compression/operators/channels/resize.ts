/** Resize of positions; a size of the channel axis among the sizes is rewritten. */
import { nth } from '../../ir/checked-access.ts';
import { hostNumbers, int64Host } from '../../ir/tensor-data.ts';
import type { NodeInfo } from '../../ir/node-info.ts';
import { keepAll, type ChannelRule } from './rule.ts';

/** `sizesInput`: which input holds sizes; -1: none. */
export function resizing(sizesInput: (info: NodeInfo) => number): ChannelRule {
  return {
    kind: 'passes',
    couple: (ctx) => {
      const [from, to] = [ctx.info.types[0]?.shape, ctx.output(0)?.shape];
      // A size that the resizing changes, or may change, keeps its channels.
      return [keepAll(ctx, ctx.input(0), (axis) => !from || !to || from[axis] !== to[axis])];
    },
    shrink: (ctx) => {
      const units = ctx.input(0);
      const input = sizesInput(ctx.info);
      const sizes = input < 0 ? null : ctx.info.constant(input);
      if (!sizes || !units.some((axis) => ctx.shrinks(axis))) return {};
      const axes = ctx.info.ints('axes') ?? units.map((_, i) => i);
      const values = hostNumbers(sizes);
      return {
        constants: new Map([
          [
            input,
            int64Host(
              values.map((size, i) => {
                const axis = units[nth(axes, i) < 0 ? nth(axes, i) + units.length : nth(axes, i)];
                return axis ? ctx.size(axis) : size;
              }),
            ),
          ],
        ]),
      };
    },
  };
}
