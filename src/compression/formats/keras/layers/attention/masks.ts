/** What a step may see: masks of inputs and calls, the causal one, windows. */
import { keyword, type LayerContext } from '../../layer.ts';
import { cast, plain, range, type Signal } from '../../signal.ts';

/** The bool mask of [n, t] inputs and the call, broadcastable to [n, t, s]; null: everything is seen. */
export function attentionMask(
  ctx: LayerContext,
  query: Signal,
  value: Signal,
  masks: { query: string | null; value: string | null; key: string | null },
): string | null {
  const { b, name, config, callArguments } = ctx;
  const parts: string[] = [];
  if (masks.query) parts.push(b.op('Unsqueeze', [masks.query, b.ints([-1])], {}, `${name}/query_mask`));
  for (const mask of [masks.value, masks.key])
    if (mask) parts.push(b.op('Unsqueeze', [mask, b.ints([-2])], {}, `${name}/value_mask`));
  if (callArguments['use_causal_mask'] === true) parts.push(causalMask(ctx, query, value));
  const window = config['sliding_window'];
  if (typeof window === 'number') parts.push(windowMask(ctx, query, value, window));
  const given = keyword(ctx, 'attention_mask');
  const own = given ? cast(b, given, 'bool').value : null;
  if (own) parts.push(own);
  return parts.length === 0 ? null : parts.reduce((all, next) => b.op('And', [all, next], {}, `${name}/mask`));
}

/** Positions 0 ... size - 1 of the steps (axis 1) of a tensor, as [size, 1] or [1, size]. */
function positions({ b, name }: LayerContext, signal: Signal, axis: 0 | 1): string {
  const size = b.op(
    'Squeeze',
    [b.op('Shape', [plain(b, signal)], { start: 1, end: 2 }, `${name}/steps`), b.ints([0])],
    {},
    `${name}/step_count`,
  );
  return b.op(
    'Unsqueeze',
    [b.op('Range', [b.scalar(0, 'int64'), size, b.scalar(1, 'int64')], {}, `${name}/range`), b.ints([1 - axis])],
    {},
    `${name}/positions`,
  );
}

/** [t, s]: step i sees steps up to i. */
export const causalMask = (ctx: LayerContext, query: Signal, value: Signal): string =>
  ctx.b.op('GreaterOrEqual', [positions(ctx, query, 0), positions(ctx, value, 1)], {}, `${ctx.name}/causal`);

/** [t, s]: step i sees the steps nearer than `window` on both sides. */
function windowMask(ctx: LayerContext, query: Signal, value: Signal, window: number): string {
  const { b, name } = ctx;
  const apart = b.op(
    'Abs',
    [b.op('Sub', [positions(ctx, query, 0), positions(ctx, value, 1)], {}, `${name}/apart`)],
    {},
    `${name}/distance`,
  );
  return b.op('Less', [apart, b.scalar(window, 'int64')], {}, `${name}/window`);
}

/** A mask [n, t, s] gets axes of one for the heads; one of [n, heads, t, s] stays. */
export function unsqueezed({ b, name }: LayerContext, mask: string, rank: number, given: Signal | undefined): string {
  const own = given?.shape.length ?? 3;
  const missing = Math.max(rank + 1 - own, 0);
  return missing === 0
    ? mask
    : b.op('Unsqueeze', [mask, b.ints(range(0, missing).map((i) => -3 - i))], {}, `${name}/mask_by_head`);
}
