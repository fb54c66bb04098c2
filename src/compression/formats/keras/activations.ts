/** Keras's activation functions as ONNX operators. */
import type { GraphBuilder } from '../graph-builder.ts';
import { type LayerContext, UnsupportedLayer } from './layer.ts';
import { like, onnxAxis, plain, plainSignal, type Signal } from './signal.ts';

type Build = (b: GraphBuilder, x: string, name: string, kerasMajor: number) => string;

const unary = (opType: string, attributes: Parameters<GraphBuilder['op']>[2] = {}): Build => (b, x, name) => b.op(opType, [x], attributes, name);
const relu6: Build = (b, x, name) => b.op('Clip', [x, b.scalar(0), b.scalar(6)], {}, name);
const swish: Build = (b, x, name) => b.op('Mul', [x, b.op('Sigmoid', [x], {}, `${name}_sigmoid`)], {}, name);

/** Elementwise ones, by every name Keras 2 and 3 give them. */
const ELEMENTWISE: Readonly<Record<string, Build>> = {
  relu: unary('Relu'), relu6, sigmoid: unary('Sigmoid'), tanh: unary('Tanh'), elu: unary('Elu'),
  selu: unary('Selu', { alpha: { float: 1.6732632423543772 }, gamma: { float: 1.0507009873554805 } }),
  softplus: unary('Softplus'), softsign: unary('Softsign'), exponential: unary('Exp'), mish: unary('Mish'),
  gelu: unary('Gelu'), swish, silu: swish,
  leaky_relu: unary('LeakyRelu', { alpha: { float: 0.2 } }),
  // Keras 2: clip(0.2 x + 0.5, 0, 1); Keras 3: relu6(x + 3) / 6.
  hard_sigmoid: (b, x, name, major) => b.op('HardSigmoid', [x], { alpha: { float: major >= 3 ? 1 / 6 : 0.2 }, beta: { float: 0.5 } }, name),
  hard_silu: unary('HardSwish'), hard_swish: unary('HardSwish'),
  celu: unary('Celu'),
  relu_squared: (b, x, name) => { const r = b.op('Relu', [x], {}, `${name}_relu`); return b.op('Mul', [r, r], {}, name); },
};

/** Applies the activation that `value` (a layer's `activation`) names. */
export function activate(ctx: LayerContext, signal: Signal, value: unknown): Signal {
  const name = activationName(value);
  if (name === 'linear') return signal;
  const label = `${ctx.name}/${name}`;
  if (name === 'softmax' || name === 'log_softmax') return softmax(ctx, signal, -1, name === 'softmax' ? 'Softmax' : 'LogSoftmax');
  const build = ELEMENTWISE[name];
  if (!build) throw new UnsupportedLayer(`the activation "${name}" is not one of Keras's own`);
  return like(signal, build(ctx.b, signal.value, label, ctx.kerasMajor));
}

export function softmax(ctx: LayerContext, signal: Signal, axis: number, opType: 'Softmax' | 'LogSoftmax' = 'Softmax'): Signal {
  return like(signal, ctx.b.op(opType, [signal.value], { axis: onnxAxis(signal, axis) }, `${ctx.name}/${opType.toLowerCase()}`));
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
  return name.replace(/\W+/g, '').replace(/(.)([A-Z][a-z]+)/g, '$1_$2').replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();
}

/** Runs `build` on the tensor in Keras's order of axes, and returns its result in that order. */
export function onPlain(ctx: LayerContext, signal: Signal, shape: Signal['shape'], build: (x: string) => string): Signal {
  return plainSignal(build(plain(ctx.b, signal)), shape);
}
