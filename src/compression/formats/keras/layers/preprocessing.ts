/** Layers that turn numbers into categories and categories into vectors. */
import { input, keyword, number, text, UnsupportedLayer, type LayerContext, type LayerConverter } from '../layer.ts';
import { cast, plain, plainSignal, range, typeOf, type Signal } from '../signal.ts';

/**
 * Indices [n, k] as `output_mode` says: themselves, one-hot, which of them occur (multi-hot), how often (count; or the
 * sum of weights).
 */
function encode(ctx: LayerContext, indices: Signal, depth: number, weights?: Signal): Signal {
  const { b, name, config } = ctx;
  const mode = text(config, 'output_mode', 'int');
  if (mode === 'int') return indices;
  if (mode === 'tf_idf') throw new UnsupportedLayer('output_mode "tf_idf" is not supported');
  const single = mode === 'one_hot' && indices.shape.at(-1) === 1;
  const shape = single ? indices.shape.slice(0, -1) : indices.shape;
  const flat = single ? b.op('Squeeze', [plain(b, indices), b.ints([-1])], {}, `${name}/single`) : plain(b, indices);
  const equal = b.op(
    'Equal',
    [
      b.op('Unsqueeze', [flat, b.ints([-1])], {}, `${name}/wide`),
      b.weight(`${name}/classes`, [depth], range(0, depth), 'int64'),
    ],
    {},
    `${name}/equal`,
  );
  const hot = b.op('Cast', [equal], { to: 1 }, `${name}/hot`);
  if (mode === 'one_hot') return plainSignal(hot, [...shape, depth]);
  const joined = [...shape.slice(0, -1), depth];
  if (mode !== 'count')
    return plainSignal(b.op('ReduceMax', [hot, b.ints([-2])], { keepdims: 0 }, `${name}/multi_hot`), joined);
  const counted = weights
    ? b.op(
        'Mul',
        [hot, b.op('Unsqueeze', [plain(b, weights), b.ints([-1])], {}, `${name}/weights`)],
        {},
        `${name}/weighted`,
      )
    : hot;
  return plainSignal(b.op('ReduceSum', [counted, b.ints([-2])], { keepdims: 0 }, `${name}/count`), joined);
}

const categoryEncoding: LayerConverter = (ctx) => {
  const indices = cast(ctx.b, input(ctx), 'int64');
  const mode = text(ctx.config, 'output_mode', 'multi_hot');
  return encode(
    { ...ctx, config: { ...ctx.config, output_mode: mode === 'binary' ? 'multi_hot' : mode } },
    indices,
    number(ctx.config, 'num_tokens', 0),
    keyword(ctx, 'count_weights') ?? ctx.inputs[1],
  );
};

/** The number of boundaries that are not above a value. */
const discretization: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const boundaries = config['bin_boundaries'];
  if (!Array.isArray(boundaries))
    throw new UnsupportedLayer(
      'its boundaries are not in the configuration: give bin_boundaries when the layer is made',
    );
  const wide = b.op('Unsqueeze', [plain(b, signal), b.ints([-1])], {}, `${name}/value`);
  const reached = b.op(
    'GreaterOrEqual',
    [wide, b.setting(`${name}/boundaries`, [boundaries.length], boundaries.map(Number))],
    {},
    `${name}/reached`,
  );
  const bins = b.op(
    'ReduceSum',
    [b.op('Cast', [reached], { to: 7 }, `${name}/steps`), b.ints([-1])],
    { keepdims: 0 },
    `${name}/bin`,
  );
  return encode(ctx, plainSignal(bins, signal.shape, 'int64'), boundaries.length + 1);
};

/** Places in the vocabulary, behind the token for masked values (0) and the one for unknown values. */
const integerLookup: LayerConverter = (ctx) => {
  const { config } = ctx;
  const signal = cast(ctx.b, input(ctx), 'int64');
  const given = config['vocabulary'];
  if (!Array.isArray(given))
    throw new UnsupportedLayer('its vocabulary is not in the configuration: give it when the layer is made');
  if (config['invert'] === true) throw new UnsupportedLayer('an inverted vocabulary is not supported');
  if (number(config, 'num_oov_indices', 1) !== 1)
    throw new UnsupportedLayer(
      'another number of indices for unknown values than one: they are hashed, or an error is not supported',
    );
  const counting = text(config, 'output_mode', 'int') !== 'int';
  const mask = typeof config['mask_token'] === 'number' ? config['mask_token'] : null;
  if (mask !== null && counting)
    throw new UnsupportedLayer(
      `a mask token with output_mode "${text(config, 'output_mode', 'int')}" is not supported`,
    );
  const unknown = mask === null ? 0 : 1;
  const special = [...(mask === null ? [] : [mask]), number(config, 'oov_token', -1)];
  const tokens = given.map(Number);
  const words = special.every((token, i) => tokens[i] === token) ? tokens.slice(special.length) : tokens;
  const known = [
    ...(mask === null ? [] : [{ token: mask, place: 0 }]),
    ...words.map((token, i) => ({ token, place: i + unknown + 1 })),
  ];
  const places = placesOf(ctx, signal, known, unknown);
  const depth = config['pad_to_max_tokens'] === true ? number(config, 'max_tokens', 0) : words.length + unknown + 1;
  return encode(ctx, places, depth);
};

interface KnownToken {
  readonly token: number;
  readonly place: number;
}

/** The place of each token; `unknown` for one that is not known. */
function placesOf(ctx: LayerContext, signal: Signal, known: readonly KnownToken[], unknown: number): Signal {
  const { b, name } = ctx;
  const wide = b.op('Unsqueeze', [plain(b, signal), b.ints([-1])], {}, `${name}/value`);
  const equal = b.op(
    'Cast',
    [b.op('Equal', [wide, b.ints(known.map(({ token }) => token))], {}, `${name}/equal`)],
    { to: 7 },
    `${name}/known`,
  );
  const shift = b.op(
    'ReduceSum',
    [b.op('Mul', [equal, b.ints(known.map(({ place }) => place - unknown))], {}, `${name}/places`), b.ints([-1])],
    { keepdims: 0 },
    `${name}/shift`,
  );
  const index = b.op('Add', [shift, b.scalar(unknown, 'int64')], {}, `${name}/index`);
  return plainSignal(index, signal.shape, typeOf(signal));
}

export const PREPROCESSING_LAYERS: Readonly<Record<string, LayerConverter>> = {
  CategoryEncoding: categoryEncoding,
  Discretization: discretization,
  IntegerLookup: integerLookup,
};
