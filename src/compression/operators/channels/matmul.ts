/** Matrix products: the summed axes belong together, rows and columns pass. */
import { nth } from '../../ir/checked-access.ts';
import { broadcastUnits } from './elementwise.ts';
import { keepAll, type ChannelRule, type Coupling, type ValueUnits } from './rule.ts';

type Turn = (units: ValueUnits) => ValueUnits;

/** Of MatMul and FusedMatMul; `turn` gives the operand's axes as they enter the product [..., rows, columns]. */
export function matrixProduct(turn: (ctx: Coupling, operand: 0 | 1) => Turn = () => (units) => units): ChannelRule {
  return {
    kind: 'removes',
    couple: (ctx) => {
      const [left, right] = [ctx.input(0), ctx.input(1)];
      if (!left || !right || left.length < 2 || right.length < 2) {
        for (const units of [left, right]) keepAll(ctx, units);
        return [null];
      }
      const [a, b] = [turn(ctx, 0)(left), turn(ctx, 1)(right)];
      ctx.same(nth(a, -1), nth(b, -2));
      if (ctx.isWeight(1)) ctx.makes(nth(b, -1));
      if (ctx.isWeight(0)) ctx.makes(nth(a, -2));
      return [[...batchUnits(ctx, a.slice(0, -2), b.slice(0, -2)), nth(a, -2), nth(b, -1)]];
    },
  };
}

/** Batch axes broadcast; one of one (labelled null, as one that is open) lets the other pass. */
function batchUnits(ctx: Coupling, a: ValueUnits, b: ValueUnits): ValueUnits {
  const rank = Math.max(a.length, b.length);
  const isOne = (input: number, fromEnd: number): boolean => ctx.info.types[input]?.shape?.at(-fromEnd) === 1;
  return Array.from({ length: rank }, (_, i) => {
    const fromEnd = rank - i;
    const [left, right] = [a.at(-fromEnd), b.at(-fromEnd)];
    if (fromEnd > a.length || isOne(0, fromEnd + 2)) return right ?? null;
    if (fromEnd > b.length || isOne(1, fromEnd + 2)) return left ?? null;
    return ctx.same(left ?? null, right ?? null);
  });
}

/** alpha * A' B' + beta * C, of matrices. */
export const gemm: ChannelRule = {
  kind: 'removes',
  couple: (ctx) => {
    const turned = ([0, 1] as const).map((operand) => {
      const units = ctx.input(operand);
      return (
        units &&
        (ctx.info.int(operand === 0 ? 'transA' : 'transB', 0) === 1 ? [nth(units, 1), nth(units, 0)] : [...units])
      );
    });
    const [a, b] = turned;
    if (a?.length !== 2 || b?.length !== 2) {
      for (const input of [0, 1, 2]) keepAll(ctx, ctx.input(input));
      return [null];
    }
    ctx.same(nth(a, 1), nth(b, 0));
    if (ctx.isWeight(1)) ctx.makes(nth(b, 1));
    if (ctx.isWeight(0)) ctx.makes(nth(a, 0));
    return [withBias(ctx, [nth(a, 0), nth(b, 1)])];
  },
};

function withBias(ctx: Coupling, product: ValueUnits): ValueUnits {
  const bias = ctx.input(2);
  const shape = ctx.info.types[2]?.shape;
  if (!bias || !shape) return product;
  return product.map((axis, i) => {
    const at = bias.length - 2 + i;
    return at < 0 || shape[at] === 1 ? axis : ctx.same(axis, nth(bias, at));
  });
}

/** x plus a vector over its last axis, then something elementwise. */
export const biased: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => [broadcastUnits(ctx, ctx.info.node.inputs[1] ? [0, 1] : [0])],
};
