/** Operators that compute each element by itself: channels pass, and channels of operands that meet are united. */
import { nth } from '../../ir/checked-access.ts';
import { shapeOf } from '../shapes.ts';
import type { AxisUnits } from './units.ts';
import type { Dim } from '../../ir/types.ts';
import { keepAll, type ChannelRule, type Coupling, type ValueUnits } from './rule.ts';

/** Labels of a result that broadcasts: axes of one give way, all others are the same channels. */
export function broadcastUnits(ctx: Coupling, inputs: readonly number[]): ValueUnits | null {
  const all = inputs.map((input) => ({ units: ctx.input(input), shape: shapeOf(ctx.info, input) }));
  const operands = all.flatMap(({ units, shape }) => (units && shape ? [{ units, shape }] : []));
  if (operands.length < all.length) {
    for (const { units } of all) keepAll(ctx, units);
    return null;
  }
  const rank = Math.max(...operands.map(({ units }) => units.length));
  return Array.from({ length: rank }, (_, i) => {
    const axes = operands.flatMap(({ units, shape }) => {
      const at = units.length - rank + i;
      return at >= 0 && shape[at] !== 1 ? [{ units: nth(units, at), dim: nth(shape, at) }] : [];
    });
    return meet(ctx, axes);
  });
}

function meet(ctx: Coupling, axes: readonly { units: AxisUnits; dim: Dim }[]): AxisUnits {
  if (axes.length === 0) return null;
  return axes.map(({ units }) => units).reduce((a, b) => ctx.same(a, b));
}

const all = ({ info }: Coupling): number[] => info.node.inputs.flatMap((name, i) => (name === '' ? [] : [i]));

/** Of all inputs, broadcast. */
export const elementwise: ChannelRule = { kind: 'passes', couple: (ctx) => [broadcastUnits(ctx, all(ctx))] };

/** Of the first input alone; further outputs have its shape (Dropout's mask) or are scalars. */
export const ofFirst: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const units = ctx.input(0);
    return ctx.info.node.outputs.map((_, i) => (units && ctx.output(i)?.shape?.length === units.length ? units : null));
  },
};

/** Only the sizes are read, and only while the model runs: they are then those of the channels that stay. */
export const readsShape: ChannelRule = { kind: 'passes', couple: (ctx) => [ctx.input(0) && null] };

/** Up to opset 6 the second operand lies at the first one's `axis`: channels that meet there stay. */
export const legacyElementwise: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const [a, b] = [ctx.input(0), ctx.input(1)];
    const scalar = b?.every((axis) => axis === null) && ctx.info.types[1]?.shape?.every((dim) => dim === 1) === true;
    if (!scalar) for (const units of [a, b]) keepAll(ctx, units);
    return [scalar ? a : null];
  },
};

/** The axes that it computes along keep all their channels; channels pass through the others. */
export function alongAxes(axesOf: (ctx: Coupling, rank: number) => readonly number[] | null): ChannelRule {
  return {
    kind: 'passes',
    couple: (ctx) => {
      const units = ctx.input(0);
      const axes = units && axesOf(ctx, units.length)?.map((axis) => (axis < 0 ? axis + units.length : axis));
      const kept = keepAll(ctx, units, (axis) => axes === null || axes === undefined || axes.includes(axis));
      return ctx.info.node.outputs.map((_, i) => (kept && ctx.output(i)?.shape?.length === kept.length ? kept : null));
    },
  };
}
