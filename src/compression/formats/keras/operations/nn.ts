/** Functions of neural networks: activations with parameters, pooling, resizing. */
import { ELEMENTWISE, glu, snakeCase, sparsemax } from '../activations.ts';
import type { Config, LayerContext, LayerConverter } from '../layer.ts';
import { UnsupportedLayer } from '../layer.ts';
import { POOLING_LAYERS } from '../layers/pooling.ts';
import { RESIZE_LAYERS } from '../layers/resize.ts';
import { cast, like, onnxAxis, type Signal } from '../signal.ts';
import { argument, numberOf, tensor, type Operation, type OperationContext } from './operation.ts';

const floats = (ctx: OperationContext): Signal => cast(ctx.b, tensor(ctx, 0), 'float32');

const elementwise =
  (className: string): Operation =>
  (ctx) => {
    const x = floats(ctx);
    return like(x, ELEMENTWISE[snakeCase(className)]!(ctx.b, x.value, ctx.name, ctx.kerasMajor));
  };

/** An ONNX operator whose float attributes are arguments of Keras's function. */
const withFloats =
  (opType: string, names: Readonly<Record<string, readonly [argument: string, fallback: number]>>): Operation =>
  (ctx) => {
    const x = floats(ctx);
    const attributes = Object.fromEntries(
      Object.entries(names).map(([attribute, [name, fallback]]) => [
        attribute,
        { float: numberOf(ctx, 1, name, fallback) },
      ]),
    );
    return like(x, ctx.b.op(opType, [x.value], attributes, ctx.name));
  };

const overAxis =
  (opType: string): Operation =>
  (ctx) => {
    const x = floats(ctx);
    const axis = argument(ctx, 1, 'axis') ?? -1;
    if (typeof axis !== 'number') throw new UnsupportedLayer(`${opType} over several axes is not supported`);
    return like(x, ctx.b.op(opType, [x.value], { axis: onnxAxis(x, axis) }, ctx.name));
  };

const gelu: Operation = (ctx) => {
  const x = floats(ctx);
  return like(
    x,
    ctx.b.op('Gelu', [x.value], { approximate: argument(ctx, 1, 'approximate') === false ? 'none' : 'tanh' }, ctx.name),
  );
};

/** x above the threshold, otherwise the default. */
const threshold: Operation = (ctx) => {
  const x = floats(ctx);
  const above = ctx.b.op('Greater', [x.value, ctx.b.scalar(numberOf(ctx, 1, 'threshold', 0))], {}, `${ctx.name}/above`);
  return like(x, ctx.b.op('Where', [above, x.value, ctx.b.scalar(numberOf(ctx, 2, 'default_value', 0))], {}, ctx.name));
};

/** Runs the layer that computes the same; its configuration is made of the arguments. */
const asLayer =
  (
    table: Readonly<Record<string, LayerConverter>>,
    layerName: (x: Signal) => string,
    rename: (config: Config) => Config = (config) => config,
  ): Operation =>
  (ctx) => {
    const x = floats(ctx);
    const converter = table[layerName(x)];
    if (!converter) throw new UnsupportedLayer(`tensors of ${x.shape.length} axes are not supported`);
    const config = rename(Object.fromEntries(ctx.kwargs));
    const none = (): never => {
      throw new Error('has no inner layer');
    };
    const layer: LayerContext = {
      b: ctx.b,
      className: layerName(x),
      name: ctx.name,
      config,
      kerasMajor: ctx.kerasMajor,
      runtime: 'keras',
      inputs: [x],
      keywords: new Map(),
      callArguments: {},
      weights: [],
      masks: [null],
      maskOf: () => null,
      setMask: () => undefined,
      inner: none,
    };
    return converter(layer);
  };

const pooled = (kind: string): Operation => asLayer(POOLING_LAYERS, (x) => `${kind}Pooling${x.shape.length - 2}D`);

const resize: Operation = asLayer(
  RESIZE_LAYERS,
  () => 'Resizing',
  (config) => {
    const [height, width] = config['size'] as readonly [number, number];
    return { ...config, height, width };
  },
);

const named = [
  'Relu',
  'Relu6',
  'Sigmoid',
  'Silu',
  'Selu',
  'Softplus',
  'Softsign',
  'HardSigmoid',
  'HardSilu',
  'HardTanh',
  'LogSigmoid',
  'TanhShrink',
  'SparsePlus',
  'SparseSigmoid',
  'Mish',
];

export const NN_OPERATIONS: Readonly<Record<string, Operation>> = {
  ...Object.fromEntries(named.map((className) => [className, elementwise(className)])),
  Elu: withFloats('Elu', { alpha: ['alpha', 1] }),
  Celu: withFloats('Celu', { alpha: ['alpha', 1] }),
  LeakyRelu: withFloats('LeakyRelu', { alpha: ['negative_slope', 0.2] }),
  HardShrink: withFloats('Shrink', { lambd: ['threshold', 0.5], bias: ['', 0] }),
  SoftShrink: withFloats('Shrink', { lambd: ['threshold', 0.5], bias: ['threshold', 0.5] }),
  Squareplus: (ctx) => {
    if (numberOf(ctx, 1, 'b', 4) !== 4) throw new UnsupportedLayer('squareplus with b other than 4 is not supported');
    return elementwise('Squareplus')(ctx);
  },
  Softmax: overAxis('Softmax'),
  LogSoftmax: overAxis('LogSoftmax'),
  Gelu: gelu,
  Threshold: threshold,
  Glu: (ctx) => glu(ctx.b, floats(ctx), numberOf(ctx, 1, 'axis', -1), ctx.name),
  Sparsemax: (ctx) => {
    if (numberOf(ctx, 1, 'axis', -1) !== -1)
      throw new UnsupportedLayer('sparsemax over an axis other than the last is not supported');
    return sparsemax(ctx.b, floats(ctx), ctx.name);
  },
  MaxPool: pooled('Max'),
  AveragePool: pooled('Average'),
  Resize: resize,
};
