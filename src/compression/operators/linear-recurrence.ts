/**
 * The recurrent layers of linear-attention models (opset 27): attention whose state has a fixed size, and the causal
 * convolution before it.
 */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import type { Dim } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { joinHeads } from './attention.ts';
import { FULL, given, ONNX_ORDER } from './define.ts';
import { groupHeads, headsOf } from './device/attention.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { productOf, shapeOf, typeOf, unifyDim } from './shapes.ts';

const [QUERY, KEY, VALUE, STATE, DECAY, BETA] = [0, 1, 2, 3, 4, 5] as const;

interface Rule {
  /** The state fades by exp(decay) before each step. */
  readonly fades: boolean;
  /** Only what the state does not hold yet is written, scaled by beta (the delta rule). */
  readonly corrects: boolean;
}

const RULES: Readonly<Record<string, Rule>> = {
  linear: { fades: false, corrects: false },
  gated: { fades: true, corrects: false },
  delta: { fades: false, corrects: true },
  gated_delta: { fades: true, corrects: true },
};

function ruleOf(info: NodeInfo): Rule {
  const name = info.string('update_rule', 'gated_delta');
  const rule = RULES[name];
  if (!rule) throw new GraphError(`update_rule "${name}" is none of ${Object.keys(RULES).join(', ')}`);
  for (const [input, needed, what] of [
    [DECAY, rule.fades, 'decay'],
    [BETA, rule.corrects, 'beta'],
  ] as const) {
    if (given(info, input) !== needed)
      throw new GraphError(`update_rule "${name}" ${needed ? 'needs' : 'takes no'} input ${what}`);
  }
  return rule;
}

interface Sizes {
  readonly batch: Dim;
  readonly steps: Dim;
  readonly keySize: Dim;
  readonly valueSize: Dim;
  readonly heads: number;
  readonly stateHeads: number;
}

/** Heads of queries; heads of keys, values and the state. */
function headsOfBoth(info: NodeInfo): [heads: number, stateHeads: number] {
  const [heads, stateHeads] = [info.int('q_num_heads', 0), info.int('kv_num_heads', 0)];
  if (heads < 1 || stateHeads < 1 || heads % stateHeads !== 0)
    throw new GraphError(`${heads} heads of queries cannot share ${stateHeads} heads of keys`);
  return [heads, stateHeads];
}

function sizesOf(info: NodeInfo): Sizes | null {
  const [heads, stateHeads] = headsOfBoth(info);
  const [query, key, value] = [QUERY, KEY, VALUE].map((input) => shapeOf(info, input));
  if (!query || !key || !value) return null;
  if ([query, key, value].some(({ length }) => length !== 3))
    throw new GraphError('queries, keys and values must be of rank 3: [batch, steps, heads * features]');
  const each = (dim: Dim, count: number): Dim => (typeof dim === 'number' ? wholeQuotient(dim, count) : null);
  const keySize = unifyDim(each(nth(query, 2), heads), each(nth(key, 2), stateHeads), 'features of queries and keys');
  return {
    batch: nth(query, 0),
    steps: nth(query, 1),
    keySize,
    valueSize: each(nth(value, 2), stateHeads),
    heads,
    stateHeads,
  };
}

function wholeQuotient(features: number, heads: number): number {
  if (features % heads !== 0) throw new GraphError(`${features} features cannot be split into ${heads} heads`);
  return features / heads;
}

/** The output has the queries' type; the state has the type of the past state or, without one, the queries'. */
function inferAttention(info: NodeInfo): Inferred[] {
  ruleOf(info);
  const sizes = sizesOf(info);
  const { dtype } = typeOf(info);
  return [
    { dtype, shape: sizes && [sizes.batch, sizes.steps, productOf([sizes.valueSize, sizes.heads])] },
    {
      dtype: given(info, STATE) ? typeOf(info, STATE).dtype : dtype,
      shape: sizes && [sizes.batch, sizes.stateHeads, sizes.keySize, sizes.valueSize],
    },
  ];
}

/** Step t of [b, t, h, d], as [b, h, ...]. */
function stepOf(x: TfTensor, t: number, column: boolean): TfTensor {
  const [batch, , heads, size] = x.shape as [number, number, number, number];
  return tf.reshape(
    tf.slice(x, [0, t, 0, 0], [batch, 1, heads, size]),
    column ? [batch, heads, size, 1] : [batch, heads, 1, size],
  );
}

/**
 * o_t = scale * q_t S_t with S_t = exp(g_t) S_{t-1} + k_t' w_t, where w_t is v_t or, by the delta rule, beta_t (v_t -
 * k_t exp(g_t) S_{t-1}); one step after the other. (Yang et al., "Gated Delta Networks", 2025; Katharopoulos et al.,
 * "Transformers are RNNs", 2020.)
 */
function linearAttention(ctx: RunContext): TfTensor[] {
  const { fades, corrects } = ruleOf(ctx);
  const [heads, stateHeads] = headsOfBoth(ctx);
  const [query, key, value] = [QUERY, KEY, VALUE].map(
    (input) => headsOf(ctx.tensor(input), input === QUERY ? heads : stateHeads).x,
  ) as [TfTensor, TfTensor, TfTensor];
  const [batch, steps, , keySize] = key.shape as [number, number, number, number];
  const decay = fades ? headsOf(ctx.tensor(DECAY), stateHeads).x : null;
  const beta = corrects ? headsOf(ctx.tensor(BETA), ctx.dims(BETA)[2] === 1 ? 1 : stateHeads).x : null;
  if (decay && decay.shape[3] !== 1 && decay.shape[3] !== keySize)
    throw new GraphError(`a decay of ${decay.shape[3]} features fits neither a head nor its ${keySize} keys`);
  let state = ctx.has(STATE) ? ctx.tensor(STATE) : tf.zeros([batch, stateHeads, keySize, nth(value.shape, 3)]);
  const outputs: TfTensor[] = [];
  for (let t = 0; t < steps; t++) {
    if (decay) state = tf.mul(state, tf.exp(stepOf(decay, t, true)));
    const fresh = stepOf(value, t, false);
    const written = beta
      ? tf.mul(stepOf(beta, t, false), tf.sub(fresh, tf.matMul(stepOf(key, t, false), state)))
      : fresh;
    state = tf.add(state, tf.mul(stepOf(key, t, true), written));
    outputs.push(tf.matMul(stepOf(query, t, false), groupHeads({ x: state, order: [0, 1, 2, 3] }, heads).x));
  }
  const scale = ctx.float('scale', 0) || 1 / Math.sqrt(keySize);
  const all = steps === 0 ? tf.zeros([batch, heads, 0, nth(value.shape, 3)]) : tf.concat(outputs, 2);
  return [joinHeads(tf.transpose(tf.mul(all, scale), [0, 2, 1, 3])), tf.clone(state)];
}

/**
 * Each step reads the state once for each head of queries, writes it once, and by the delta rule reads it once more.
 */
function attentionMacs(info: NodeInfo): number {
  const sizes = sizesOf(info);
  if (!sizes) return 0;
  const { batch, steps, keySize, valueSize, heads, stateHeads } = sizes;
  const elements = productOf([batch, steps, keySize, valueSize]);
  return typeof elements === 'number' ? elements * (heads + stateHeads * (ruleOf(info).corrects ? 2 : 1)) : 0;
}

function inferConvolution(info: NodeInfo): Inferred[] {
  activationOf(info);
  const { dtype, shape } = typeOf(info);
  const kernel = shapeOf(info, 1);
  if (shape && shape.length !== 3)
    throw new GraphError(`the input must be of rank 3, [batch, channels, length], it is [${shape.join(', ')}]`);
  if (kernel && kernel.length !== 3)
    throw new GraphError(`the kernel must be of rank 3, [channels, 1, size], it is [${kernel.join(', ')}]`);
  if (shape && kernel) unifyDim(nth(shape, 1), nth(kernel, 0), 'channels of input and kernel');
  const past = typeof kernel?.[2] === 'number' ? kernel[2] - 1 : null;
  return [
    { dtype, shape },
    { dtype, shape: shape && [nth(shape, 0), nth(shape, 1), past] },
  ];
}

function activationOf(info: NodeInfo): boolean {
  const name = info.string('activation', 'none');
  if (name !== 'none' && name !== 'silu' && name !== 'swish')
    throw new GraphError(`activation "${name}" is none of none, silu, swish`);
  return name !== 'none';
}

/** x [b, c, l] behind its past [b, c, k - 1], each channel by its own kernel [c, 1, k]: a sum of k shifted copies. */
function causalConvolution(ctx: RunContext): TfTensor[] {
  const [x, kernel] = [ctx.tensor(0), ctx.tensor(1)];
  const [batch, channels, length] = x.shape as [number, number, number];
  const size = nth(kernel.shape, 2);
  const past = ctx.has(3) ? ctx.tensor(3) : tf.zeros([batch, channels, size - 1]);
  const padded = size === 1 ? x : tf.concat([past, x], 2);
  const taps = Array.from({ length: size }, (_, i) =>
    tf.mul(
      tf.slice(padded, [0, 0, i], [batch, channels, length]),
      tf.reshape(tf.slice(kernel, [0, 0, i], [channels, 1, 1]), [1, channels, 1]),
    ),
  );
  const sum = taps.reduce((a, b) => tf.add(a, b));
  const y = ctx.has(2) ? tf.add(sum, tf.reshape(ctx.tensor(2), [1, channels, 1])) : sum;
  return [
    activationOf(ctx) ? tf.mul(y, tf.sigmoid(y)) : y,
    tf.slice(padded, [0, 0, length], [batch, channels, size - 1]),
  ];
}

function convolutionMacs(info: NodeInfo): number {
  const count = productOf([...(shapeOf(info) ?? [null]), shapeOf(info, 1)?.[2] ?? null]);
  return typeof count === 'number' ? count : 0;
}

const common = { domain: '', since: 27, layout: ONNX_ORDER, differentiability: FULL } as const;

export const linearRecurrenceOperators: readonly Operator[] = [
  { ...common, type: 'LinearAttention', infer: inferAttention, device: linearAttention, macs: attentionMacs },
  {
    ...common,
    type: 'CausalConvWithState',
    infer: inferConvolution,
    device: causalConvolution,
    macs: convolutionMacs,
    weights: [
      { input: 1, kind: 'kernel', outputAxis: () => 0 },
      { input: 2, kind: 'bias', outputAxis: () => 0 },
    ],
  },
];
