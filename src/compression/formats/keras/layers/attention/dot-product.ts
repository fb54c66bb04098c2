/** Keras's Attention and AdditiveAttention, without heads (Bahdanau et al. 2015). */
import { flag, input, UnsupportedLayer, weight, type LayerContext, type LayerConverter } from '../../layer.ts';
import { plain, plainSignal, type Signal } from '../../signal.ts';
import { causalMask } from './masks.ts';

export const wantsScores = (ctx: LayerContext): boolean => ctx.callArguments['return_attention_scores'] === true;

/** Scores of [n, t, d] against [n, s, d]: dot products, or sums of tanh (additive). */
function scoresOf(ctx: LayerContext, query: string, key: string, additive: boolean): string {
  const { b, name, config } = ctx;
  const scale = flag(config, 'use_scale', ctx.className === 'AdditiveAttention') ? weight(ctx, 0, 'scale') : null;
  const factor = scale && b.weight(`${name}/scale`, scale.dims, scale.values);
  if (!additive) {
    const scores = b.op(
      'MatMul',
      [query, b.op('Transpose', [key], { perm: [0, 2, 1] }, `${name}/keys`)],
      {},
      `${name}/scores`,
    );
    return factor ? b.op('Mul', [scores, factor], {}, `${name}/scaled`) : scores;
  }
  const sums = b.op(
    'Add',
    [
      b.op('Unsqueeze', [query, b.ints([2])], {}, `${name}/queries`),
      b.op('Unsqueeze', [key, b.ints([1])], {}, `${name}/keys`),
    ],
    {},
    `${name}/sums`,
  );
  const total = (x: string): string => b.op('ReduceSum', [x, b.ints([-1])], { keepdims: 0 }, `${name}/scores`);
  if (ctx.className === 'AdditiveAttention') {
    const bent = b.op('Tanh', [sums], {}, `${name}/tanh`);
    return total(factor ? b.op('Mul', [bent, factor], {}, `${name}/scaled`) : bent);
  }
  const concat = b.weight(`${name}/concat_score_weight`, [], weight(ctx, scale ? 1 : 0, 'concat score weight').values);
  return b.op(
    'Mul',
    [
      total(b.op('Tanh', [factor ? b.op('Mul', [sums, factor], {}, `${name}/scaled`) : sums], {}, `${name}/tanh`)),
      concat,
    ],
    {},
    `${name}/weighted`,
  );
}

/** Keras's Attention and AdditiveAttention: inputs [query, value(, key)] of [n, t, d]. */
export const attention: LayerConverter = (ctx): Signal | Signal[] => {
  const { b, name, config, callArguments } = ctx;
  const [query, value] = [input(ctx, 0), input(ctx, 1)];
  const key = ctx.inputs[2] ?? value;
  if ([query, value, key].some(({ shape }) => shape.length !== 3))
    throw new UnsupportedLayer('attention over tensors of a rank other than 3 is not supported');
  const [queryMask, valueMask] = [ctx.masks[0] ?? null, ctx.masks[1] ?? null];
  let scores = scoresOf(
    ctx,
    plain(b, query),
    plain(b, key),
    ctx.className === 'AdditiveAttention' || config['score_mode'] === 'concat',
  );
  const causal = callArguments['use_causal_mask'] === true || flag(config, 'causal', false);
  const seen = [
    ...(valueMask ? [b.op('Unsqueeze', [valueMask, b.ints([1])], {}, `${name}/value_mask`)] : []),
    ...(causal ? [causalMask(ctx, query, value)] : []),
  ];
  if (seen.length > 0) {
    const mask = seen.reduce((all, next) => b.op('And', [all, next], {}, `${name}/mask`));
    scores = b.op(
      'Where',
      [mask, scores, b.op('Sub', [scores, b.scalar(1e9)], {}, `${name}/lowered`)],
      {},
      `${name}/masked_scores`,
    );
  }
  const shares = b.op('Softmax', [scores], { axis: -1 }, `${name}/softmax`);
  let mixed = b.op('MatMul', [shares, plain(b, value)], {}, `${name}/mixed`);
  if (queryMask)
    mixed = b.op(
      'Where',
      [b.op('Unsqueeze', [queryMask, b.ints([-1])], {}, `${name}/query_mask`), mixed, b.scalar(0)],
      {},
      `${name}/kept`,
    );
  const result = plainSignal(mixed, [query.shape[0] ?? null, query.shape[1] ?? null, value.shape[2] ?? null]);
  ctx.setMask(result, queryMask);
  return wantsScores(ctx)
    ? [result, plainSignal(shares, [query.shape[0] ?? null, query.shape[1] ?? null, value.shape[1] ?? null])]
    : result;
};
