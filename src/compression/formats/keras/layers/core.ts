/** Dense, embeddings, activations, and the layers that do nothing at inference. */
import { activate, activationName, softmax } from '../activations.ts';
import { constant, flag, input, number, setting, UnsupportedLayer, weight, type LayerConverter } from '../layer.ts';
import { like, onnxAxis, plain, plainSignal } from '../signal.ts';

/** Noise and dropout layers change training only. */
const passThrough: LayerConverter = (ctx) => input(ctx);

const dense: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const kernel = weight(ctx, 0, 'kernel');
  const x = plain(b, signal);
  const bias = flag(config, 'use_bias', true) ? constant(ctx, 'bias', weight(ctx, 1, 'bias')) : null;
  const w = constant(ctx, 'kernel', kernel);
  const result = [...signal.shape.slice(0, -1), kernel.dims[1]!];
  if (signal.shape.length === 2) {
    return activate(ctx, plainSignal(b.op('Gemm', bias ? [x, w, bias] : [x, w], {}, `${name}/gemm`), result), config['activation']);
  }
  const product = b.op('MatMul', [x, w], {}, `${name}/matmul`);
  return activate(ctx, plainSignal(bias ? b.op('Add', [product, bias], {}, `${name}/add`) : product, result), config['activation']);
};

const embedding: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const table = weight(ctx, 0, 'embeddings');
  if (flag(ctx.config, 'mask_zero', false)) throw new UnsupportedLayer('mask_zero: masked steps have no ONNX form');
  const indices = ctx.b.op('Cast', [plain(ctx.b, signal)], { to: 7 }, `${ctx.name}/indices`);
  return plainSignal(ctx.b.op('Gather', [constant(ctx, 'embeddings', table), indices], { axis: 0 }, `${ctx.name}/gather`), [...signal.shape, table.dims[1]!]);
};

const relu: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const slope = number(config, 'negative_slope', 0);
  const threshold = number(config, 'threshold', 0);
  const ceiling = config['max_value'];
  if (threshold !== 0) {
    // f(x) = x where x >= threshold, slope (x - threshold) below.
    const above = b.op('GreaterOrEqual', [signal.value, b.scalar(threshold)], {}, `${name}/above`);
    const below = b.op('Mul', [b.op('Sub', [signal.value, b.scalar(threshold)], {}, `${name}/shifted`), b.scalar(slope)], {}, `${name}/below`);
    const value = b.op('Where', [above, signal.value, below], {}, `${name}/relu`);
    return like(signal, typeof ceiling === 'number' ? b.op('Min', [value, b.scalar(ceiling)], {}, `${name}/max`) : value);
  }
  if (slope !== 0) {
    const value = b.op('LeakyRelu', [signal.value], { alpha: { float: slope } }, `${name}/relu`);
    return like(signal, typeof ceiling === 'number' ? b.op('Min', [value, b.scalar(ceiling)], {}, `${name}/max`) : value);
  }
  return like(signal, typeof ceiling === 'number'
    ? b.op('Clip', [signal.value, b.scalar(0), b.scalar(ceiling)], {}, `${name}/relu`)
    : b.op('Relu', [signal.value], {}, `${name}/relu`));
};

const leakyRelu: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const alpha = number(ctx.config, 'negative_slope', number(ctx.config, 'alpha', 0.3));
  return like(signal, ctx.b.op('LeakyRelu', [signal.value], { alpha: { float: alpha } }, `${ctx.name}/leaky_relu`));
};

/** Slopes have the shape of one sample, with 1 on shared axes; they broadcast against Keras's order of axes. */
const prelu: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const alpha = weight(ctx, 0, 'alpha');
  return plainSignal(ctx.b.op('PRelu', [plain(ctx.b, signal), constant(ctx, 'alpha', alpha)], {}, `${ctx.name}/prelu`), signal.shape);
};

const elu: LayerConverter = (ctx) => {
  const signal = input(ctx);
  return like(signal, ctx.b.op('Elu', [signal.value], { alpha: { float: number(ctx.config, 'alpha', 1) } }, `${ctx.name}/elu`));
};

const thresholdedRelu: LayerConverter = (ctx) => {
  const signal = input(ctx);
  return like(signal, ctx.b.op('ThresholdedRelu', [signal.value], { alpha: { float: number(ctx.config, 'theta', 1) } }, `${ctx.name}/thresholded_relu`));
};

const softmaxLayer: LayerConverter = (ctx) => {
  const axis = ctx.config['axis'];
  if (Array.isArray(axis) && axis.length !== 1) throw new UnsupportedLayer('softmax over several axes');
  return softmax(ctx, input(ctx), Number(Array.isArray(axis) ? axis[0] : axis ?? -1));
};

const activation: LayerConverter = (ctx) => activate(ctx, input(ctx), activationName(ctx.config['activation']));

const rescaling: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const [scale, offset] = [config['scale'] ?? 1, config['offset'] ?? 0];
  if (typeof scale === 'number' && typeof offset === 'number') {
    return like(signal, b.op('Add', [b.op('Mul', [signal.value, b.scalar(scale)], {}, `${name}/scaled`), b.scalar(offset)], {}, `${name}/rescaled`));
  }
  const vector = (value: unknown, what: string): string => { const list = [value].flat().map(Number); return setting(ctx, what, [list.length], list); };
  const scaled = b.op('Mul', [plain(b, signal), vector(scale, 'scale')], {}, `${name}/scaled`);
  return plainSignal(b.op('Add', [scaled, vector(offset, 'offset')], {}, `${name}/rescaled`), signal.shape);
};

const normalization: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const axes = [config['axis'] ?? -1].flat().map(Number);
  const stored = (index: number, key: string): readonly number[] => {
    const given = config[key];
    return given == null ? [...weight(ctx, index, key).values] : [given].flat(Infinity).map(Number);
  };
  const dims = signal.shape.map((size, axis) => (axes.some((kept) => (kept + signal.shape.length) % signal.shape.length === axis) ? size ?? 1 : 1));
  const array = (values: readonly number[], what: string): string => setting(ctx, what, values.length === 1 ? dims.map(() => 1) : dims, values);
  const mean = array(stored(0, 'mean'), 'mean');
  const deviation = array(stored(1, 'variance').map((v) => Math.max(Math.sqrt(v), 1e-7)), 'std');
  const x = plain(b, signal);
  if (flag(config, 'invert', false)) return plainSignal(b.op('Add', [b.op('Mul', [x, deviation], {}, `${name}/scaled`), mean], {}, `${name}/shifted`), signal.shape);
  return plainSignal(b.op('Div', [b.op('Sub', [x, mean], {}, `${name}/centred`), deviation], {}, `${name}/normalized`), signal.shape);
};

const unitNormalization: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const axes = [ctx.config['axis'] ?? -1].flat().map(Number);
  if (axes.length !== 1) throw new UnsupportedLayer('unit normalization over several axes');
  return like(signal, ctx.b.op('LpNormalization', [signal.value], { axis: onnxAxis(signal, axes[0]!), p: 2 }, `${ctx.name}/unit_norm`));
};

export const CORE_LAYERS: Readonly<Record<string, LayerConverter>> = {
  Dense: dense, Embedding: embedding, Activation: activation, ReLU: relu, LeakyReLU: leakyRelu, PReLU: prelu, ELU: elu,
  ThresholdedReLU: thresholdedRelu, Softmax: softmaxLayer, Rescaling: rescaling, Normalization: normalization, UnitNormalization: unitNormalization,
  Dropout: passThrough, SpatialDropout1D: passThrough, SpatialDropout2D: passThrough, SpatialDropout3D: passThrough,
  AlphaDropout: passThrough, GaussianDropout: passThrough, GaussianNoise: passThrough, ActivityRegularization: passThrough, Identity: passThrough,
  RandomFlip: passThrough, RandomRotation: passThrough, RandomZoom: passThrough, RandomContrast: passThrough, RandomBrightness: passThrough, RandomTranslation: passThrough,
};
