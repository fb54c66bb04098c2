import type { WriteContext } from './context.ts';
import { typeAttribute } from './tf-graph.ts';

/** The axes of x in another order. */
export function transpose(ctx: WriteContext, x: string, perm: readonly number[]): string {
  return ctx.op('Transpose', [x, ctx.tf.ints(perm)], { Tperm: typeAttribute('int32') });
}
