/** Einstein sums: axes of one letter belong together. */
import { nth } from '../../ir/checked-access.ts';
import type { AxisUnits } from './units.ts';
import { keepAll, type ChannelRule } from './rule.ts';

/** `parse`: letters of each operand's axes, and of the result's. */
export function einsum(
  parse: (
    equation: string,
    ranks: readonly number[],
  ) => { readonly operands: readonly (readonly string[])[]; readonly output: readonly string[] },
): ChannelRule {
  return {
    kind: 'removes',
    couple: (ctx) => {
      const all = ctx.info.node.inputs.map((_, i) => ctx.input(i));
      if (!all.every((units) => units !== null)) {
        for (const units of all) keepAll(ctx, units);
        return [null];
      }
      const { operands, output } = parse(
        ctx.info.string('equation', ''),
        all.map((units) => units.length),
      );
      const byLetter = new Map<string, AxisUnits>();
      operands.forEach((letters, i) =>
        letters.forEach((letter, axis) => {
          if (ctx.info.types[i]?.shape?.[axis] === 1 && byLetter.has(letter)) return; // broadcasts
          const known = byLetter.get(letter);
          const own = nth(nth(all, i), axis);
          byLetter.set(letter, known === undefined ? own : ctx.same(known, own));
        }),
      );
      operands.forEach((letters, i) => {
        if (ctx.isWeight(i))
          for (const letter of letters) if (output.includes(letter)) ctx.makes(byLetter.get(letter) ?? null);
      });
      return [output.map((letter) => byLetter.get(letter) ?? null)];
    },
  };
}
