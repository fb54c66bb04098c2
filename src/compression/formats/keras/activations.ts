/** Keras's activation functions as ONNX operators. */
import { existing } from '../../ir/checked-access.ts';
import type { GraphBuilder } from '../graph-builder.ts';
import { type Config, type LayerContext, UnsupportedLayer } from './layer.ts';
import { like, onnxAxis, plain, plainSignal, type Shape, type Signal } from './signal.ts';

type Build = (b: GraphBuilder, x: string, name: string, kerasMajor: number) => string;

const unary =
  (opType: string, attributes: Parameters<GraphBuilder['op']>[2] = {}): Build =>
  (b, x, name) =>
    b.op(opType, [x], attributes, name);
const clip =
  (low: number, high: number): Build =>
  (b, x, name) =>
    b.op('Clip', [x, b.scalar(low), b.scalar(high)], {}, name);
const swish: Build = (b, x, name) => b.op('Mul', [x, b.op('Sigmoid', [x], {}, `${name}_sigmoid`)], {}, name);

/** Elementwise ones, by every name Keras 2 and 3 give them. */
export const ELEMENTWISE: Readonly<Record<string, Build>> = {
  relu: unary('Relu'),
  relu6: clip(0, 6),
  sigmoid: unary('Sigmoid'),
  tanh: unary('Tanh'),
  elu: unary('Elu'),
  selu: unary('Selu', { alpha: { float: 1.6732632423543772 }, gamma: { float: 1.0507009873554805 } }),
  softplus: unary('Softplus'),
  softsign: unary('Softsign'),
  exponential: unary('Exp'),
  mish: unary('Mish'),
  gelu: unary('Gelu'),
  swish,
  silu: swish,
  leaky_relu: unary('LeakyRelu', { alpha: { float: 0.2 } }),
  // Keras 2: clip(0.2 x + 0.5, 0, 1); Keras 3: relu6(x + 3) / 6.
  hard_sigmoid: (b, x, name, major) =>
    b.op('HardSigmoid', [x], { alpha: { float: major >= 3 ? 1 / 6 : 0.2 }, beta: { float: 0.5 } }, name),
  hard_silu: unary('HardSwish'),
  hard_swish: unary('HardSwish'),
  hard_tanh: clip(-1, 1),
  hard_shrink: unary('Shrink', { lambd: { float: 0.5 }, bias: { float: 0 } }),
  soft_shrink: unary('Shrink', { lambd: { float: 0.5 }, bias: { float: 0.5 } }),
  tanh_shrink: (b, x, name) => b.op('Sub', [x, b.op('Tanh', [x], {}, `${name}_tanh`)], {}, name),
  log_sigmoid: (b, x, name) =>
    b.op('Neg', [b.op('Softplus', [b.op('Neg', [x], {}, `${name}_neg`)], {}, `${name}_softplus`)], {}, name),
  sparse_sigmoid: unary('HardSigmoid', { alpha: { float: 0.5 }, beta: { float: 0.5 } }),
  // max(x, (clip(x, -1, 1) + 1)^2 / 4): 0 below -1, a parabola between, x above 1.
  sparse_plus: (b, x, name) => {
    const up = b.op('Add', [clip(-1, 1)(b, x, `${name}_clip`, 3), b.scalar(1)], {}, `${name}_up`);
    return b.op(
      'Max',
      [x, b.op('Mul', [b.op('Mul', [up, up], {}, `${name}_square`), b.scalar(0.25)], {}, `${name}_parabola`)],
      {},
      name,
    );
  },
  // (x + sqrt(x^2 + 4)) / 2
  squareplus: (b, x, name) => {
    const root = b.op(
      'Sqrt',
      [b.op('Add', [b.op('Mul', [x, x], {}, `${name}_square`), b.scalar(4)], {}, `${name}_shifted`)],
      {},
      `${name}_root`,
    );
    return b.op('Mul', [b.op('Add', [x, root], {}, `${name}_sum`), b.scalar(0.5)], {}, name);
  },
  celu: unary('Celu'),
  relu_squared: (b, x, name) => {
    const r = b.op('Relu', [x], {}, `${name}_relu`);
    return b.op('Mul', [r, r], {}, name);
  },
};

/**
 * Applies the activation that `value` (a layer's `activation`) names; layers used as activations are converted as
 * layers.
 */
export function activate(ctx: LayerContext, signal: Signal, value: unknown): Signal {
  const name = activationName(value);
  if (name === 'linear') return signal;
  const label = `${ctx.name}/${name}`;
  if (isLayerObject(value))
    return existing(ctx.inner(value as Config, [signal], [], 'activation')[0], 'the output of its activation');
  if (name === 'softmax' || name === 'log_softmax')
    return softmax(ctx, signal, -1, name === 'softmax' ? 'Softmax' : 'LogSoftmax');
  if (name === 'glu') return glu(ctx.b, signal, -1, label);
  if (name === 'sparsemax') return sparsemax(ctx.b, signal, label);
  const build = ELEMENTWISE[name];
  if (!build) throw new UnsupportedLayer(`the activation "${name}" is not one of Keras's own`);
  return like(signal, build(ctx.b, signal.value, label, ctx.kerasMajor));
}

export interface Activation {
  readonly value: unknown;
  readonly label: string;
  readonly kerasMajor: number;
}

/** The activation of a cell: elementwise, or over the last axis. */
export function activateValue(b: GraphBuilder, x: string, { value, label, kerasMajor }: Activation): string {
  const name = activationName(value);
  if (name === 'linear') return x;
  if (name === 'softmax' || name === 'log_softmax')
    return b.op(name === 'softmax' ? 'Softmax' : 'LogSoftmax', [x], { axis: -1 }, `${label}_${name}`);
  const build = isLayerObject(value) ? undefined : ELEMENTWISE[name];
  if (!build) throw new UnsupportedLayer(`the activation "${name}" inside a recurrent layer is not supported`);
  return build(b, x, `${label}_${name}`, kerasMajor);
}

/**
 * {module: "keras.layers", class_name: "LeakyReLU", ...}: a layer where a function is usual. Keras 2 gives no module.
 */
function isLayerObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { module, class_name: className } = value as { module?: unknown; class_name?: string };
  return (
    (typeof module === 'string' && module.startsWith('keras.layers')) ||
    ['LeakyReLU', 'ReLU', 'ELU', 'Softmax', 'ThresholdedReLU'].includes(className ?? '')
  );
}

export function softmax(
  ctx: LayerContext,
  signal: Signal,
  axis: number,
  opType: 'Softmax' | 'LogSoftmax' = 'Softmax',
): Signal {
  return like(
    signal,
    ctx.b.op(opType, [signal.value], { axis: onnxAxis(signal, axis) }, `${ctx.name}/${opType.toLowerCase()}`),
  );
}

/** The first half of an axis times the sigmoid of the second (Dauphin et al. 2017). */
export function glu(b: GraphBuilder, signal: Signal, axis: number, label: string): Signal {
  const position = axis < 0 ? axis + signal.shape.length : axis;
  const size = signal.shape[position] ?? null;
  const [kept, gate] = b.ops(
    'Split',
    [signal.value],
    2,
    { axis: onnxAxis(signal, axis), num_outputs: 2 },
    `${label}_halves`,
  );
  const shape: Shape = signal.shape.map((old, i) => (i === position && size !== null ? size / 2 : old));
  return { ...signal, shape, value: b.op('Mul', [kept, b.op('Sigmoid', [gate], {}, `${label}_gate`)], {}, label) };
}

/**
 * max(x - tau, 0) of Martins and Astudillo 2016 as Keras 3 computes it: tau = (sum of the running sums s_k over the k
 * with 1 + k z_k > s_k, minus 1) / their number, z sorted downwards. (The paper takes the last of those sums alone.)
 */
export function sparsemax(b: GraphBuilder, signal: Signal, label: string): Signal {
  const size = signal.shape.at(-1);
  if (typeof size !== 'number') throw new UnsupportedLayer('sparsemax over an axis of dynamic size is not supported');
  const x = plain(b, signal);
  const sorted = b.ops('TopK', [x, b.ints([size])], 2, { axis: -1 }, `${label}_sorted`)[0];
  const sums = b.op('CumSum', [sorted, b.scalar(-1, 'int64')], {}, `${label}_sums`);
  const ranks = b.setting(
    `${label}_ranks`,
    [size],
    Array.from({ length: size }, (_, i) => i + 1),
  );
  const bounds = b.op('Add', [b.op('Mul', [sorted, ranks], {}, `${label}_scaled`), b.scalar(1)], {}, `${label}_bounds`);
  const support = b.op('Cast', [b.op('Greater', [bounds, sums], {}, `${label}_in`)], { to: 1 }, `${label}_support`);
  const total = (value: string, what: string): string =>
    b.op('ReduceSum', [value, b.ints([-1])], { keepdims: 1 }, `${label}_${what}`);
  const kept = total(b.op('Mul', [sums, support], {}, `${label}_kept`), 'total');
  const tau = b.op(
    'Div',
    [b.op('Sub', [kept, b.scalar(1)], {}, `${label}_rest`), total(support, 'count')],
    {},
    `${label}_tau`,
  );
  return plainSignal(b.op('Relu', [b.op('Sub', [x, tau], {}, `${label}_shifted`)], {}, label), signal.shape);
}

/** The name in a serialized activation: a string, `{class_name, config}`, or `{config: "name"}` (Keras 3 functions). */
export function activationName(value: unknown): string {
  if (value === null || value === undefined) return 'linear';
  if (typeof value === 'string') return value;
  const { class_name: className, config } = value as { class_name?: string; config?: unknown };
  if (className === 'function' && typeof config === 'string') return config;
  const inner = (config as { name?: unknown } | undefined)?.name;
  if (className && className !== 'Activation') return snakeCase(className);
  return typeof inner === 'string' ? inner : 'linear';
}

export function snakeCase(name: string): string {
  return name
    .replace(/\W+/g, '')
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
}
