/** Activation functions: elementwise, in whatever layout their input has. */
import { nth } from '../ir/checked-access.ts';
import { hostNumbers, hostOf } from '../ir/tensor-data.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import { required } from './define.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { elementwise, ofFirst } from './channels/elementwise.ts';
import { perChannel } from './channels/normalization.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, Value } from './operator.ts';
import { sameType, typeOf } from './shapes.ts';

type Formula = (x: TfTensor, ctx: RunContext) => TfTensor;

const follows = { kind: 'follows', inputs: [0] } as const;
const common = {
  domain: '',
  since: 1,
  layout: follows,
  differentiability: { kind: 'full' },
  infer: sameType(),
  channels: ofFirst,
} as const;
/** Computed by onnxruntime on int8 data. */
const quantized = { kind: 'compute', activations: [0], kernel: null, bias: null } as const;

function activation(type: string, formula: Formula, more: Partial<Operator> = {}): Operator {
  return { ...common, type, device: (ctx) => [onFloats(ctx.tensor(0), (x) => formula(x, ctx))], ...more };
}

/** Relu and Clip are also defined on integers. */
function onFloats(x: TfTensor, compute: (x: TfTensor) => TfTensor): TfTensor {
  return x.dtype === 'float32' ? compute(x) : tf.cast(compute(tf.cast(x, 'float32')), x.dtype);
}

/** alpha * (exp(x / scale) - 1) of the negative part: never overflows, so its gradient stays finite. */
export function negativeExponential(x: TfTensor, alpha: number, scale = 1): TfTensor {
  const negative = tf.minimum(x, 0);
  return tf.mul(tf.expm1(scale === 1 ? negative : tf.div(negative, scale)), alpha);
}

/** Gaussian error linear unit (Hendrycks and Gimpel, 2016), exact or by its tanh approximation. */
export function gelu(x: TfTensor, approximate = false): TfTensor {
  const cdf = approximate
    ? tf.tanh(tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.mul(x, tf.mul(x, x))))))
    : tf.erf(tf.mul(x, Math.SQRT1_2));
  return tf.mul(tf.mul(x, 0.5), tf.add(cdf, 1));
}

export function hardSigmoid(x: TfTensor, alpha: number, beta: number): TfTensor {
  return tf.clipByValue(tf.add(tf.mul(x, alpha), beta), 0, 1);
}

export function softplus(x: TfTensor): TfTensor {
  return tf.softplus(x);
}

export function leakyRelu(x: TfTensor, alpha: number): TfTensor {
  return tf.sub(nn.relu(x), tf.mul(nn.relu(tf.neg(x)), alpha));
}

export function thresholdedRelu(x: TfTensor, alpha: number): TfTensor {
  return tf.where(
    withoutTape(() => tf.greater(x, alpha)),
    x,
    tf.zerosLike(x),
  );
}

/** Zero within [-lambda, lambda]; values beyond move towards zero by `bias`. */
function shrink(x: TfTensor, lambda: number, bias: number): TfTensor {
  const above = withoutTape(() => tf.greater(x, lambda));
  const below = withoutTape(() => tf.less(x, -lambda));
  return tf.where(above, tf.sub(x, bias), tf.where(below, tf.add(x, bias), tf.zerosLike(x)));
}

function runPrelu(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  return [tf.sub(nn.relu(x), tf.mul(ctx.tensor(1), nn.relu(tf.neg(x))))];
}

/** Up to opset 6 a slope [c] belongs to the channels; x [n, ..., c]. Since then it broadcasts as any operand. */
const channelSlope = { kind: 'channels-last', inputs: [0], outputs: [0] } as const;

/** The bounds are attributes up to opset 10 and inputs since; an absent bound does not clip. */
function bound(ctx: RunContext, name: 'min' | 'max'): TfTensor | number | null {
  if (ctx.opset < 11) return ctx.attribute(name) ? ctx.float(name, 0) : null;
  const input = name === 'min' ? 1 : 2;
  const known = ctx.has(input) ? ctx.constant(input) : null;
  if (known?.data.length === 1) return nth(hostNumbers(known), 0);
  return ctx.has(input) ? tf.cast(ctx.tensor(input), 'float32') : null;
}

function runClip(ctx: RunContext): TfTensor[] {
  const [low, high] = [bound(ctx, 'min'), bound(ctx, 'max')];
  const known = (limit: TfTensor | number | null): limit is number | null =>
    limit === null || typeof limit === 'number';
  if (known(low) && known(high))
    return [onFloats(ctx.tensor(0), (x) => nn.clip(x, low ?? -Infinity, high ?? Infinity))];
  return [
    onFloats(ctx.tensor(0), (x) => {
      const raised = low === null ? x : tf.maximum(x, low);
      return high === null ? raised : tf.minimum(raised, high);
    }),
  ];
}

function clipOnHost(inputs: readonly (HostTensor | null)[], info: NodeInfo): HostTensor[] {
  const x = required(inputs, 0);
  const limit = (name: 'min' | 'max', input: number, none: number): number =>
    info.opset < 11 ? info.float(name, none) : inputs[input] ? nth(hostNumbers(inputs[input]), 0) : none;
  if (x.data instanceof BigInt64Array || x.data instanceof BigUint64Array)
    return [clipBigInts(x, inputs[1] ?? null, inputs[2] ?? null)];
  const [low, high] = [limit('min', 1, -Infinity), limit('max', 2, Infinity)];
  return [
    hostOf(
      x.dtype,
      x.dims,
      hostNumbers(x).map((value) => Math.min(Math.max(value, low), high)),
    ),
  ];
}

function clipBigInts(x: HostTensor, low: HostTensor | null, high: HostTensor | null): HostTensor {
  const data = (x.data as BigInt64Array).slice();
  const [min, max] = [low?.data[0] as bigint | undefined, high?.data[0] as bigint | undefined];
  data.forEach((value, i) => {
    const raised = min !== undefined && value < min ? min : value;
    data[i] = max !== undefined && raised > max ? max : raised;
  });
  return { ...x, data };
}

/** The ratio is an attribute up to opset 11 and an input since 12, where another input switches dropout on and off. */
function dropoutRatio(ctx: RunContext): number {
  if (ctx.opset < 12) return ctx.training ? ctx.float('ratio', 0.5) : 0;
  const asked = ctx.has(2) ? ctx.host(2).data[0] === 1 : false;
  if (!asked && !ctx.training) return 0;
  return ctx.has(1) ? nth(hostNumbers(ctx.host(1)), 0) : 0.5;
}

function runDropout(ctx: RunContext): (TfTensor | Value)[] {
  const x = ctx.tensor(0);
  const ratio = dropoutRatio(ctx);
  if (ratio === 0) return [tf.clone(x), tf.onesLike(tf.cast(x, 'bool'))];
  const kept = tf.greaterEqual(ctx.uniform(x.shape), ratio);
  return [tf.mul(x, tf.mul(tf.cast(kept, 'float32'), ratio < 1 ? 1 / (1 - ratio) : 0)), kept];
}

/** x * sigmoid(alpha * x) (Ramachandran et al., 2017). */
const swish: Formula = (x, ctx) => tf.mul(x, tf.sigmoid(tf.mul(x, ctx.float('alpha', 1))));
const slope = [{ input: 1, kind: 'slope', outputAxis: () => 0 }] as const;
const SELU_ALPHA = 1.67326319217681884765625;
const SELU_GAMMA = 1.05070102214813232421875;

export const activationOperators: readonly Operator[] = [
  activation('Relu', nn.relu, { quantization: quantized }),
  activation('LeakyRelu', (x, ctx) => leakyRelu(x, ctx.float('alpha', 0.01)), { quantization: quantized }),
  activation('Sigmoid', (x) => tf.sigmoid(x), { quantization: quantized }),
  activation('HardSigmoid', (x, ctx) => hardSigmoid(x, ctx.float('alpha', 0.2), ctx.float('beta', 0.5))),
  activation('HardSwish', (x) => tf.mul(x, hardSigmoid(x, 1 / 6, 0.5))),
  activation('Tanh', (x) => tf.tanh(x)),
  activation('Elu', (x, ctx) => tf.add(nn.relu(x), negativeExponential(x, ctx.float('alpha', 1)))),
  activation('Selu', (x, ctx) =>
    tf.mul(tf.add(nn.relu(x), negativeExponential(x, ctx.float('alpha', SELU_ALPHA))), ctx.float('gamma', SELU_GAMMA)),
  ),
  activation('Celu', (x, ctx) => {
    const alpha = ctx.float('alpha', 1);
    return tf.add(nn.relu(x), negativeExponential(x, alpha, alpha));
  }),
  activation('Softplus', softplus),
  activation('Softsign', (x) => tf.div(x, tf.add(tf.abs(x), 1))),
  activation('ThresholdedRelu', (x, ctx) => thresholdedRelu(x, ctx.float('alpha', 1))),
  activation('Shrink', (x, ctx) => shrink(x, ctx.float('lambd', 0.5), ctx.float('bias', 0)), { since: 9 }),
  activation('Mish', (x) => tf.mul(x, tf.tanh(softplus(x)))),
  activation('Swish', swish),
  {
    ...common,
    type: 'SwiGLU',
    since: 28,
    layout: { kind: 'follows' },
    channels: elementwise,
    device: (ctx) => [tf.mul(swish(ctx.tensor(0), ctx), ctx.tensor(1))],
  },
  activation('Gelu', (x, ctx) => gelu(x, ctx.string('approximate', 'none') === 'tanh')),
  activation('Gelu', (x) => gelu(x), { domain: 'com.microsoft' }),
  activation('QuickGelu', (x, ctx) => tf.mul(x, tf.sigmoid(tf.mul(x, ctx.float('alpha', 1.702)))), {
    domain: 'com.microsoft',
  }),
  {
    ...common,
    type: 'PRelu',
    until: 6,
    channels: perChannel(1),
    layout: channelSlope,
    device: runPrelu,
    weights: slope,
  },
  {
    ...common,
    type: 'PRelu',
    since: 7,
    layout: { kind: 'follows' },
    channels: elementwise,
    device: runPrelu,
    weights: slope,
  },
  {
    ...common,
    type: 'Clip',
    differentiability: { kind: 'inputs', inputs: [0] },
    device: runClip,
    host: clipOnHost,
    quantization: quantized,
  },
  {
    ...common,
    type: 'Dropout',
    differentiability: { kind: 'inputs', inputs: [0] },
    device: runDropout,
    infer: (info) => {
      const type = typeOf(info);
      return [type, { dtype: info.opset < 10 ? type.dtype : 'bool', shape: type.shape }];
    },
    quantization: { kind: 'passes-through' },
  },
];
