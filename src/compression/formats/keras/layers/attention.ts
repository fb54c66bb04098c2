/** Multi-head attention and dot-product attention (Vaswani et al. 2017, eq. 1). */
import { flag, input, UnsupportedLayer, weight, type LayerContext, type LayerConverter, type WeightArray } from '../layer.ts';
import { plain, plainSignal, type Signal } from '../signal.ts';

/** x [n, t, d] times kernel [d, heads, size] -> [n, heads, t, size]. */
function project(ctx: LayerContext, x: string, kernel: WeightArray, bias: WeightArray | null, label: string): string {
  const { b, name } = ctx;
  const [depth, heads, size] = kernel.dims as [number, number, number];
  const w = b.weight(`${name}/${label}/kernel`, [depth, heads * size], kernel.values);
  let projected = b.op('MatMul', [x, w], {}, `${name}/${label}`);
  if (bias) projected = b.op('Add', [projected, b.weight(`${name}/${label}/bias`, [heads * size], bias.values)], {}, `${name}/${label}_biased`);
  const split = b.op('Reshape', [projected, b.ints([0, 0, heads, size])], {}, `${name}/${label}_heads`);
  return b.op('Transpose', [split], { perm: [0, 2, 1, 3] }, `${name}/${label}_by_head`);
}

const multiHeadAttention: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const query = input(ctx);
  const value = ctx.inputs[1] ?? ctx.keywords.get('value') ?? query;
  const key = ctx.inputs[2] ?? ctx.keywords.get('key') ?? value;
  for (const signal of [query, value, key]) if (signal.shape.length !== 3) throw new UnsupportedLayer('attention over tensors of other ranks than 3');
  if (ctx.keywords.has('attention_mask')) throw new UnsupportedLayer('an attention mask');
  if (ctx.callArguments['use_causal_mask'] === true) throw new UnsupportedLayer('a causal mask');
  const biased = flag(config, 'use_bias', true);
  const arrays = biased ? 2 : 1;
  const at = (index: number, what: string): [WeightArray, WeightArray | null] => [weight(ctx, index * arrays, `${what} kernel`), biased ? weight(ctx, index * arrays + 1, `${what} bias`) : null];
  const [queryKernel] = at(0, 'query');
  const q = project(ctx, plain(b, query), ...at(0, 'query'), 'query');
  const k = project(ctx, plain(b, key), ...at(1, 'key'), 'key');
  const v = project(ctx, plain(b, value), ...at(2, 'value'), 'value');
  const scaled = b.op('Mul', [q, b.scalar(1 / Math.sqrt(queryKernel.dims[2]!))], {}, `${name}/scaled_query`);
  const scores = b.op('MatMul', [scaled, b.op('Transpose', [k], { perm: [0, 1, 3, 2] }, `${name}/key_transposed`)], {}, `${name}/scores`);
  const mixed = b.op('MatMul', [b.op('Softmax', [scores], { axis: -1 }, `${name}/softmax`), v], {}, `${name}/mixed`);
  const [outKernel, outBias] = at(3, 'output');
  const [heads, size, depth] = outKernel.dims as [number, number, number];
  const joined = b.op('Reshape', [b.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }, `${name}/by_step`), b.ints([0, 0, heads * size])], {}, `${name}/joined`);
  let result = b.op('MatMul', [joined, b.weight(`${name}/output/kernel`, [heads * size, depth], outKernel.values)], {}, `${name}/output`);
  if (outBias) result = b.op('Add', [result, b.weight(`${name}/output/bias`, [depth], outBias.values)], {}, `${name}/output_biased`);
  return plainSignal(result, [query.shape[0] ?? null, query.shape[1] ?? null, depth]);
};

/** Keras's Attention: inputs [query, value(, key)] of [n, t, d], score "dot", optionally scaled by a learnt factor. */
const attention: LayerConverter = (ctx): Signal => {
  const { b, name, config } = ctx;
  const [query, value] = [input(ctx, 0), input(ctx, 1)];
  const key = ctx.inputs[2] ?? value;
  if ((config['score_mode'] ?? 'dot') !== 'dot') throw new UnsupportedLayer('score_mode "concat"');
  if (ctx.callArguments['use_causal_mask'] === true) throw new UnsupportedLayer('a causal mask');
  const keys = b.op('Transpose', [plain(b, key)], { perm: [0, 2, 1] }, `${name}/keys`);
  let scores = b.op('MatMul', [plain(b, query), keys], {}, `${name}/scores`);
  if (flag(config, 'use_scale', false)) scores = b.op('Mul', [scores, b.weight(`${name}/scale`, [], weight(ctx, 0, 'scale').values)], {}, `${name}/scaled`);
  const mixed = b.op('MatMul', [b.op('Softmax', [scores], { axis: -1 }, `${name}/softmax`), plain(b, value)], {}, `${name}/mixed`);
  return plainSignal(mixed, [query.shape[0] ?? null, query.shape[1] ?? null, value.shape[2] ?? null]);
};

export const ATTENTION_LAYERS: Readonly<Record<string, LayerConverter>> = { MultiHeadAttention: multiHeadAttention, Attention: attention };
