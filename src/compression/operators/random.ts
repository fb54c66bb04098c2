/**
 * Operators that draw random numbers. They draw from the run's own seeded noise, not from their `seed` attribute: every
 * training step draws anew.
 */
import { GraphError } from '../ir/graph-error.ts';
import { DATA_TYPES, type DataType } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { ofFirst } from './channels/elementwise.ts';
import { ONNX_ORDER, ZERO } from './define.ts';
import type { NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, Value } from './operator.ts';
import { shapeOf, typeOf } from './shapes.ts';

const common = { domain: '', layout: ONNX_ORDER, differentiability: ZERO } as const;

/** The `dtype` attribute, else that of the input, else float32. */
function outputType(info: NodeInfo, like: boolean): DataType {
  const named = info.int('dtype', 0);
  return named !== 0 ? (DATA_TYPES[named] ?? 'float32') : like ? typeOf(info).dtype : 'float32';
}

type Draw = (ctx: RunContext, shape: readonly number[]) => TfTensor;

const normal: Draw = (ctx, shape) => tf.add(tf.mul(ctx.normal(shape), ctx.float('scale', 1)), ctx.float('mean', 0));
const uniform: Draw = (ctx, shape) => {
  const low = ctx.float('low', 0);
  return tf.add(tf.mul(ctx.uniform(shape), ctx.float('high', 1) - low), low);
};

function value(ctx: RunContext, dtype: DataType, tensor: TfTensor): Value {
  if (dtype !== 'float32' && dtype !== 'float64' && dtype !== 'float16' && dtype !== 'bfloat16')
    throw new GraphError(`random numbers of type ${dtype} are not defined`);
  return { kind: 'device', dtype, tensor };
}

const ofShape = (type: string, draw: Draw): Operator => ({
  ...common,
  type,
  since: 1,
  infer: (info) => [{ dtype: outputType(info, false), shape: info.ints('shape') ?? null }],
  device: (ctx) => [
    value(
      ctx,
      outputType(ctx, false),
      withoutTape(() => draw(ctx, ctx.ints('shape') ?? [])),
    ),
  ],
});

const like = (type: string, draw: Draw): Operator => ({
  ...common,
  type,
  since: 1,
  channels: ofFirst,
  infer: (info) => [{ dtype: outputType(info, true), shape: shapeOf(info) }],
  device: (ctx) => [
    value(
      ctx,
      outputType(ctx, true),
      withoutTape(() => draw(ctx, ctx.dims(0))),
    ),
  ],
});

/** 1 with the probability that the input gives. */
function bernoulli(ctx: RunContext): Value[] {
  const dtype = outputType(ctx, true);
  const drawn = withoutTape(() => tf.less(ctx.uniform(ctx.dims(0)), ctx.tensor(0)));
  const kept =
    dtype === 'bool' ? drawn : tf.cast(drawn, dtype.startsWith('float') || dtype === 'bfloat16' ? 'float32' : 'int32');
  return [{ kind: 'device', dtype, tensor: kept }];
}

/**
 * Classes drawn from unnormalized log-probabilities [n, classes], by the Gumbel maximum (Gumbel 1954): [n,
 * sample_size].
 */
function multinomial(ctx: RunContext): Value[] {
  const tensor = withoutTape(() => {
    const logits = ctx.tensor(0);
    const [n, classes] = logits.shape as [number, number];
    const noise = tf.neg(
      tf.log(tf.neg(tf.log(tf.maximum(ctx.uniform([n, ctx.int('sample_size', 1), classes]), 1e-20)))),
    );
    return tf.argMax(tf.add(tf.expandDims(logits, 1), noise), 2);
  });
  return [{ kind: 'device', dtype: multinomialType(ctx), tensor }];
}

const multinomialType = (info: NodeInfo): DataType => DATA_TYPES[info.int('dtype', 6)] ?? 'int32';

export const randomOperators: readonly Operator[] = [
  ofShape('RandomNormal', normal),
  ofShape('RandomUniform', uniform),
  like('RandomNormalLike', normal),
  like('RandomUniformLike', uniform),
  {
    ...common,
    type: 'Bernoulli',
    since: 15,
    channels: ofFirst,
    infer: (info) => [{ dtype: outputType(info, true), shape: shapeOf(info) }],
    device: bernoulli,
  },
  {
    ...common,
    type: 'Multinomial',
    since: 7,
    infer: (info) => [
      { dtype: multinomialType(info), shape: [shapeOf(info)?.[0] ?? null, info.int('sample_size', 1)] },
    ],
    device: multinomial,
  },
];
