/** Dense, embeddings, activations, and layers without effect at inference. */
import { itemOf } from '../../../ir/checked-access.ts';
import { activate, softmax } from '../activations.ts';
import {
  constant,
  flag,
  input,
  number,
  setting,
  text,
  UnsupportedLayer,
  weight,
  type LayerContext,
  type LayerConverter,
} from '../layer.ts';
import { cast, like, onnxAxis, plain, plainSignal, typeOf, type Signal } from '../signal.ts';

/** Augmentations, which give images back as they are outside of training. */
const AUGMENTATIONS = [
  'RandomFlip',
  'RandomRotation',
  'RandomZoom',
  'RandomContrast',
  'RandomBrightness',
  'RandomTranslation',
  'RandomShear',
  'RandomHue',
  'RandomSaturation',
  'RandomErasing',
  'RandomGaussianBlur',
  'RandomPerspective',
  'RandomSharpness',
  'RandomGrayscale',
  'RandomInvert',
  'RandomPosterization',
  'RandomColorJitter',
  'RandomColorDegeneration',
  'RandomElasticTransform',
  'RandomHeight',
  'RandomWidth',
  'AugMix',
  'RandAugment',
  'CutMix',
  'MixUp',
  'Solarization',
];

/** Noise and dropout layers change training only. */
const passThrough: LayerConverter = (ctx) => input(ctx);

const dense: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const kernel = weight(ctx, 0, 'kernel');
  const x = plain(b, signal);
  const bias = flag(config, 'use_bias', true) ? constant(ctx, 'bias', weight(ctx, 1, 'bias')) : null;
  const w = constant(ctx, 'kernel', kernel);
  const result = [...signal.shape.slice(0, -1), itemOf(kernel.dims, 1, 'the shape of the kernel')];
  if (signal.shape.length === 2) {
    return activate(
      ctx,
      plainSignal(b.op('Gemm', bias ? [x, w, bias] : [x, w], {}, `${name}/gemm`), result),
      config['activation'],
    );
  }
  const product = b.op('MatMul', [x, w], {}, `${name}/matmul`);
  return activate(
    ctx,
    plainSignal(bias ? b.op('Add', [product, bias], {}, `${name}/add`) : product, result),
    config['activation'],
  );
};

const lookUp = (ctx: LayerContext, signal: Signal): Signal => {
  const table = weight(ctx, 0, 'embeddings');
  const indices = cast(ctx.b, signal, 'int64');
  const value = ctx.b.op(
    'Gather',
    [constant(ctx, 'embeddings', table), plain(ctx.b, indices)],
    { axis: 0 },
    `${ctx.name}/gather`,
  );
  const result = plainSignal(value, [...signal.shape, itemOf(table.dims, 1, 'the shape of the embedding table')]);
  if (flag(ctx.config, 'mask_zero', false)) ctx.setMask(result, differs(ctx, signal, 0));
  return result;
};

/** Where the elements are not `value`. */
function differs({ b, name }: LayerContext, signal: Signal, value: number): string {
  return b.op(
    'Not',
    [b.op('Equal', [plain(b, signal), b.scalar(value, typeOf(signal))], {}, `${name}/equal`)],
    {},
    `${name}/mask`,
  );
}

/** Vectors by index; backwards (`reverse`) the product with the table, or with a kernel of its own. */
const reversibleEmbedding: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  if (ctx.callArguments['reverse'] !== true) return lookUp(ctx, signal);
  const tied = flag(config, 'tie_weights', true);
  const array = tied ? weight(ctx, 0, 'embeddings') : weight(ctx, 1, 'reverse embeddings');
  const kernel = tied
    ? b.op('Transpose', [constant(ctx, 'embeddings', array)], { perm: [1, 0] }, `${name}/reverse_kernel`)
    : constant(ctx, 'reverse_kernel', array);
  const logits = b.op('MatMul', [plain(b, signal), kernel], {}, `${name}/logits`);
  const cap = config['logit_soft_cap'];
  const value =
    typeof cap === 'number'
      ? b.op(
          'Mul',
          [
            b.op('Tanh', [b.op('Div', [logits, b.scalar(cap)], {}, `${name}/scaled`)], {}, `${name}/bent`),
            b.scalar(cap),
          ],
          {},
          `${name}/capped`,
        )
      : logits;
  return plainSignal(value, [...signal.shape.slice(0, -1), itemOf(array.dims, tied ? 0 : 1, 'the shape of the array')]);
};

/** Steps whose features are all `mask_value` are masked, and zero. */
const masking: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = cast(b, input(ctx), 'float32');
  const x = plain(b, signal);
  const other = b.op('Cast', [differs(ctx, signal, number(config, 'mask_value', 0))], { to: 6 }, `${name}/other`);
  const any = b.op(
    'Cast',
    [b.op('ReduceMax', [other, b.ints([-1])], { keepdims: 1 }, `${name}/any`)],
    { to: 9 },
    `${name}/seen`,
  );
  const result = plainSignal(b.op('Where', [any, x, b.scalar(0)], {}, `${name}/masked`), signal.shape);
  ctx.setMask(result, b.op('Squeeze', [any, b.ints([-1])], {}, `${name}/mask`));
  return result;
};

/**
 * `equation` contracts axes of the input with the kernel. Where they are the input's last and the kernel's first it is
 * one MatMul, which prunes and quantizes like Dense; otherwise Einsum.
 */
const einsumDense: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const kernel = weight(ctx, 0, 'kernel');
  const [left, right, out] = einsumTerms(text(config, 'equation', ''), signal.shape.length, kernel.dims.length);
  const sizes = new Map([
    ...[...left].map((letter, axis) => [letter, signal.shape[axis] ?? null] as const),
    ...[...right].map((letter, axis) => [letter, itemOf(kernel.dims, axis, 'the shape of the kernel')] as const),
  ]);
  const shape = [...out].map((letter) => sizes.get(letter) ?? null);
  const shared = [...left].filter((letter) => right.includes(letter)).join('');
  const [before, after] = [left.slice(0, left.length - shared.length), right.slice(shared.length)];
  const x = plain(b, signal);
  let value: string;
  if (
    shared.length > 0 &&
    before.length > 0 &&
    left === before + shared &&
    right === shared + after &&
    out === before + after
  ) {
    const inner = kernel.dims.slice(0, shared.length).reduce((a, d) => a * d, 1);
    const outer = kernel.values.length / inner;
    const keep = [...before].map(() => 0);
    const flat = shared.length === 1 ? x : b.op('Reshape', [x, b.ints([...keep, inner])], {}, `${name}/flat`);
    const product = b.op(
      'MatMul',
      [flat, b.weight(`${name}/kernel`, [inner, outer], kernel.values)],
      {},
      `${name}/matmul`,
    );
    value =
      after.length === 1
        ? product
        : b.op('Reshape', [product, b.ints([...keep, ...kernel.dims.slice(shared.length)])], {}, `${name}/shaped`);
  } else
    value = b.op(
      'Einsum',
      [x, constant(ctx, 'kernel', kernel)],
      { equation: `${left},${right}->${out}` },
      `${name}/einsum`,
    );
  if (config['bias_axes'] != null)
    value = b.op('Add', [value, constant(ctx, 'bias', weight(ctx, 1, 'bias'))], {}, `${name}/add`);
  return activate(ctx, plainSignal(value, shape), config['activation']);
};

/** The three terms with an ellipsis written out in letters that the equation does not use. */
function einsumTerms(equation: string, rank: number, kernelRank: number): [string, string, string] {
  const [inputs, out] = equation.replaceAll(' ', '').split('->');
  const [left, right] = (inputs ?? '').split(',');
  if (left === undefined || right === undefined || out === undefined)
    throw new UnsupportedLayer(`the equation "${equation}"`);
  const free = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'].filter((letter) => !equation.includes(letter));
  const hidden = free.slice(0, Math.max(rank - left.replace('...', '').length, 0)).join('');
  const terms = [left, right, out].map((term) => term.replace('...', hidden)) as [string, string, string];
  if (terms[0].length !== rank || terms[1].length !== kernelRank)
    throw new Error(`the equation "${equation}" does not fit tensors of ${rank} and ${kernelRank} axes`);
  return terms;
}

const relu: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const slope = number(config, 'negative_slope', 0);
  const threshold = number(config, 'threshold', 0);
  const ceiling = config['max_value'];
  if (threshold !== 0) {
    // f(x) = x where x >= threshold, slope (x - threshold) below.
    const above = b.op('GreaterOrEqual', [signal.value, b.scalar(threshold)], {}, `${name}/above`);
    const below = b.op(
      'Mul',
      [b.op('Sub', [signal.value, b.scalar(threshold)], {}, `${name}/shifted`), b.scalar(slope)],
      {},
      `${name}/below`,
    );
    const value = b.op('Where', [above, signal.value, below], {}, `${name}/relu`);
    return like(
      signal,
      typeof ceiling === 'number' ? b.op('Min', [value, b.scalar(ceiling)], {}, `${name}/max`) : value,
    );
  }
  if (slope !== 0) {
    const value = b.op('LeakyRelu', [signal.value], { alpha: { float: slope } }, `${name}/relu`);
    return like(
      signal,
      typeof ceiling === 'number' ? b.op('Min', [value, b.scalar(ceiling)], {}, `${name}/max`) : value,
    );
  }
  return like(
    signal,
    typeof ceiling === 'number'
      ? b.op('Clip', [signal.value, b.scalar(0), b.scalar(ceiling)], {}, `${name}/relu`)
      : b.op('Relu', [signal.value], {}, `${name}/relu`),
  );
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
  return plainSignal(
    ctx.b.op('PRelu', [plain(ctx.b, signal), constant(ctx, 'alpha', alpha)], {}, `${ctx.name}/prelu`),
    signal.shape,
  );
};

const elu: LayerConverter = (ctx) => {
  const signal = input(ctx);
  return like(
    signal,
    ctx.b.op('Elu', [signal.value], { alpha: { float: number(ctx.config, 'alpha', 1) } }, `${ctx.name}/elu`),
  );
};

const thresholdedRelu: LayerConverter = (ctx) => {
  const signal = input(ctx);
  return like(
    signal,
    ctx.b.op(
      'ThresholdedRelu',
      [signal.value],
      { alpha: { float: number(ctx.config, 'theta', 1) } },
      `${ctx.name}/thresholded_relu`,
    ),
  );
};

const softmaxLayer: LayerConverter = (ctx) => {
  const axis = ctx.config['axis'];
  const signal = input(ctx);
  const mask = ctx.masks[0];
  if (mask) return maskedSoftmax(ctx, signal, [axis ?? -1].flat().map(Number), mask);
  if (Array.isArray(axis) && axis.length !== 1) return softmaxOver(ctx, signal, axis.map(Number));
  return softmax(ctx, signal, Number(Array.isArray(axis) ? axis[0] : (axis ?? -1)));
};

/** exp(x - logsumexp(x)) over several axes. */
function softmaxOver({ b, name }: LayerContext, signal: Signal, axes: readonly number[]): Signal {
  const places = b.ints(axes.map((axis) => onnxAxis(signal, axis)));
  const sum = b.op('ReduceLogSumExp', [signal.value, places], { keepdims: 1 }, `${name}/log_sum`);
  return like(signal, b.op('Exp', [b.op('Sub', [signal.value, sum], {}, `${name}/log`)], {}, `${name}/softmax`));
}

/** Masked elements get no share; where all are masked, all shares are zero. */
function maskedSoftmax(ctx: LayerContext, signal: Signal, axes: readonly number[], mask: string): Signal {
  const { b, name } = ctx;
  const lowered = plainSignal(
    b.op('Where', [mask, plain(b, signal), b.scalar(-3e38)], {}, `${name}/lowered`),
    signal.shape,
  );
  const shares = axes.length === 1 ? softmax(ctx, lowered, axes[0]!) : softmaxOver(ctx, lowered, axes);
  return like(shares, b.op('Where', [mask, shares.value, b.scalar(0)], {}, `${name}/visible`));
}

const activation: LayerConverter = (ctx) => activate(ctx, input(ctx), ctx.config['activation']);

const rescaling: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const [scale, offset] = [config['scale'] ?? 1, config['offset'] ?? 0];
  if (typeof scale === 'number' && typeof offset === 'number') {
    return like(
      signal,
      b.op(
        'Add',
        [b.op('Mul', [signal.value, b.scalar(scale)], {}, `${name}/scaled`), b.scalar(offset)],
        {},
        `${name}/rescaled`,
      ),
    );
  }
  const vector = (value: unknown, what: string): string => {
    const list = [value].flat().map(Number);
    return setting(ctx, what, [list.length], list);
  };
  const scaled = b.op('Mul', [plain(b, signal), vector(scale, 'scale')], {}, `${name}/scaled`);
  return plainSignal(b.op('Add', [scaled, vector(offset, 'offset')], {}, `${name}/rescaled`), signal.shape);
};

const normalization: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const axes = config['axis'] === null ? [] : [config['axis'] ?? -1].flat().map(Number);
  const stored = (index: number, key: string): readonly number[] => {
    const given = config[key];
    return given == null ? [...weight(ctx, index, key).values] : [given].flat(Infinity).map(Number);
  };
  const dims = signal.shape.map((size, axis) =>
    axes.some((kept) => (kept + signal.shape.length) % signal.shape.length === axis) ? (size ?? 1) : 1,
  );
  const array = (values: readonly number[], what: string): string =>
    setting(ctx, what, values.length === 1 ? dims.map(() => 1) : dims, values);
  const mean = array(stored(0, 'mean'), 'mean');
  const deviation = array(
    stored(1, 'variance').map((v) => Math.max(Math.sqrt(v), 1e-7)),
    'std',
  );
  const x = plain(b, signal);
  if (flag(config, 'invert', false))
    return plainSignal(
      b.op('Add', [b.op('Mul', [x, deviation], {}, `${name}/scaled`), mean], {}, `${name}/shifted`),
      signal.shape,
    );
  return plainSignal(
    b.op('Div', [b.op('Sub', [x, mean], {}, `${name}/centred`), deviation], {}, `${name}/normalized`),
    signal.shape,
  );
};

const unitNormalization: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const axes = [ctx.config['axis'] ?? -1].flat().map(Number);
  // x / sqrt(max(sum x^2, 1e-12))
  const squares = ctx.b.op(
    'ReduceSumSquare',
    [signal.value, ctx.b.ints(axes.map((axis) => onnxAxis(signal, axis)))],
    { keepdims: 1 },
    `${ctx.name}/squares`,
  );
  const length = ctx.b.op(
    'Sqrt',
    [ctx.b.op('Max', [squares, ctx.b.scalar(1e-12)], {}, `${ctx.name}/floor`)],
    {},
    `${ctx.name}/length`,
  );
  return like(signal, ctx.b.op('Div', [signal.value, length], {}, `${ctx.name}/unit_norm`));
};

export const CORE_LAYERS: Readonly<Record<string, LayerConverter>> = {
  Dense: dense,
  Embedding: (ctx) => lookUp(ctx, input(ctx)),
  Activation: activation,
  ReLU: relu,
  LeakyReLU: leakyRelu,
  PReLU: prelu,
  ELU: elu,
  ThresholdedReLU: thresholdedRelu,
  Softmax: softmaxLayer,
  Rescaling: rescaling,
  Normalization: normalization,
  UnitNormalization: unitNormalization,
  Dropout: passThrough,
  SpatialDropout1D: passThrough,
  SpatialDropout2D: passThrough,
  SpatialDropout3D: passThrough,
  AlphaDropout: passThrough,
  GaussianDropout: passThrough,
  GaussianNoise: passThrough,
  ActivityRegularization: passThrough,
  Identity: passThrough,
  EinsumDense: einsumDense,
  ReversibleEmbedding: reversibleEmbedding,
  Masking: masking,
  ...Object.fromEntries(AUGMENTATIONS.map((name) => [name, passThrough])),
};
