/** Dense, embeddings, activations, and layers without effect at inference. */
import { itemOf } from '../../../ir/checked-access.ts';
import { activate } from '../activations.ts';
import { constant, flag, input, number, weight, type LayerContext, type LayerConverter } from '../layer.ts';
import { cast, plain, plainSignal, typeOf, type Signal } from '../signal.ts';
import { elu, leakyRelu, prelu, relu, softmaxLayer, thresholdedRelu } from './core/activation-layers.ts';
import { einsumDense } from './core/einsum-dense.ts';
import { normalization, rescaling, unitNormalization } from './core/scaling.ts';

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

const activation: LayerConverter = (ctx) => activate(ctx, input(ctx), ctx.config['activation']);

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
