/** The settings of a Keras layer that give the sizes of its arrays, inputs or outputs. */
import { itemOf } from '../../../ir/checked-access.ts';
import { LatheError } from '../../../../errors.ts';
import { isModelClass, plainClassName } from '../config.ts';
import type { Config } from '../layer.ts';
import type { Shape } from '../signal.ts';

/**
 * A layer whose arrays or surroundings have other sizes now. Shapes as Keras sees them; inputs and outputs are those of
 * its first call.
 */
export interface Resized {
  readonly config: Config;
  /** The dims of its arrays now, in the order in which Keras creates them. */
  readonly arrays: readonly (readonly number[])[];
  readonly inputs: readonly Shape[];
  readonly outputs: readonly Shape[];
}

/** The settings for the new sizes. */
type Follow = (layer: Resized) => Config;

const set = (config: Config, changes: Config): Config => ({ ...config, ...changes });
const nothing: Follow = ({ config }) => config;
const sizeOf = (arrays: Resized['arrays'], index: number, axis: number): number =>
  itemOf(itemOf(arrays, index, 'the list of its arrays'), axis, `the shape of array ${index}`);

const dense: Follow = ({ config, arrays }) => set(config, { units: sizeOf(arrays, 0, -1) });
const recurrent: Follow = ({ config, arrays }) => set(config, { units: sizeOf(arrays, 1, 0) });
const embedding: Follow = ({ config, arrays }) => set(config, { output_dim: sizeOf(arrays, 0, -1) });
const separable: Follow = ({ config, arrays }) => set(config, { filters: sizeOf(arrays, 1, -1) });
const transposed: Follow = ({ config, arrays }) => set(config, { filters: sizeOf(arrays, 0, -2) });
/** Kernel [...k, cin / groups, cout]; groups lose channels alike. */
const convolution: Follow = ({ config, arrays }) => set(config, { filters: sizeOf(arrays, 0, -1) });

/** `output_shape` names the axes behind the batch, or the last of them. */
const einsumDense: Follow = ({ config, outputs }) => {
  const given = config['output_shape'];
  const sizes = [given]
    .flat()
    .map((size, i, { length }) => (typeof size === 'number' ? (outputs[0]?.at(i - length) ?? size) : size));
  return set(config, { output_shape: Array.isArray(given) ? sizes : sizes[0] });
};

/**
 * Kernels of query, key, (gate,) value [dim, heads, size] and output [heads, size, ...out], each with its bias where
 * there are biases.
 */
function attentionKernels({
  config,
  arrays,
}: Resized): Record<'query' | 'key' | 'value' | 'output', readonly number[]> {
  const stride = config['use_bias'] === false ? 1 : 2;
  const kernels = arrays.filter((_, i) => i % stride === 0);
  const kernel = (index: number): readonly number[] => itemOf(kernels, index, 'the list of kernels');
  return { query: kernel(0), key: kernel(1), value: kernel(-2), output: kernel(-1) };
}

const multiHeadAttention: Follow = (layer) => {
  const { config, inputs } = layer;
  const { query, value, output } = attentionKernels(layer);
  const sizes = output.slice(2);
  const follows = config['output_shape'] == null && sizes.length === 1 && sizes[0] === inputs[0]?.at(-1);
  const shapes = Object.entries({
    query_shape: inputs[0],
    value_shape: inputs[1] ?? inputs[0],
    key_shape: inputs[2] ?? inputs[1] ?? inputs[0],
  }).filter(([name]) => Array.isArray(config[name]));
  return set(config, {
    num_heads: query[1],
    key_dim: query[2],
    value_dim: value[2],
    ...Object.fromEntries(shapes),
    ...(!follows && { output_shape: Array.isArray(config['output_shape']) || sizes.length > 1 ? sizes : sizes[0] }),
  });
};

const groupQueryAttention: Follow = (layer) => {
  const { query, key } = attentionKernels(layer);
  return set(layer.config, { head_dim: query[2], num_query_heads: query[1], num_key_value_heads: key[1] });
};

/** The layer in it has the wrapper's arrays. */
const wrapper: Follow = (layer) => set(layer.config, { layer: inner(layer, 'layer', layer.arrays) });

const bidirectional: Follow = (layer) => {
  const { config, arrays } = layer;
  const half = arrays.length / 2;
  return set(config, {
    layer: inner(layer, 'layer', arrays.slice(0, half)),
    ...(config['backward_layer'] != null && { backward_layer: inner(layer, 'backward_layer', arrays.slice(half)) }),
  });
};

const overCell: Follow = (layer) => set(layer.config, { cell: inner(layer, 'cell', layer.arrays) });

/** A model in a wrapper has layers of its own. */
function inner(outer: Resized, key: string, arrays: Resized['arrays']): Config {
  const whole = outer.config[key] as Config;
  if (isModelClass(String(whole['class_name']))) return whole;
  const { build_config: _sizes, ...raw } = whole;
  return {
    ...raw,
    config: followSizes(String(raw['class_name']), { ...outer, config: raw['config'] as Config, arrays }),
  };
}

const sized = (names: readonly string[], follow: Follow): Record<string, Follow> =>
  Object.fromEntries(names.map((name) => [name, follow]));
const ranks = (name: (rank: number) => string): string[] => [1, 2, 3].map(name);

const FOLLOW: Readonly<Record<string, Follow>> = {
  ...sized(
    ranks((n) => `Conv${n}D`),
    convolution,
  ),
  ...sized(
    ranks((n) => `Convolution${n}D`),
    convolution,
  ),
  ...sized(
    ranks((n) => `Conv${n}DTranspose`),
    transposed,
  ),
  ...sized(
    ranks((n) => `Convolution${n}DTranspose`),
    transposed,
  ),
  ...sized(
    ranks((n) => `SeparableConv${n}D`),
    separable,
  ),
  ...sized(
    ranks((n) => `SeparableConvolution${n}D`),
    separable,
  ),
  // an input channel is an output channel
  ...sized(['DepthwiseConv1D', 'DepthwiseConv2D', 'PReLU', 'AdditiveAttention'], nothing),
  ...sized(
    [
      'BatchNormalization',
      'BatchNormalizationV1',
      'BatchNormalizationV2',
      'SyncBatchNormalization',
      'LayerNormalization',
      'GroupNormalization',
      'RMSNormalization',
    ],
    nothing,
  ),
  Dense: dense,
  EinsumDense: einsumDense,
  Embedding: embedding,
  ReversibleEmbedding: embedding,
  ...sized(['LSTM', 'GRU', 'SimpleRNN', 'CuDNNLSTM', 'CuDNNGRU', 'LSTMCell', 'GRUCell', 'SimpleRNNCell'], recurrent),
  RNN: overCell,
  Bidirectional: bidirectional,
  TimeDistributed: wrapper,
  MultiHeadAttention: multiHeadAttention,
  GroupQueryAttention: groupQueryAttention,
  GroupedQueryAttention: groupQueryAttention,
};

/** Layers without arrays whose settings contain channel counts. */
const FOLLOW_OUTPUT: Readonly<Record<string, Follow>> = {
  Reshape: ({ config, outputs }) =>
    set(config, { target_shape: known(config['target_shape'], itemOf(outputs, 0, 'the list of outputs').slice(1)) }),
};

/** The given sizes with new ones; open sizes (-1) stay open. */
const known = (sizes: unknown, shape: Shape): number[] =>
  (sizes as number[]).map((size, i) => (size === -1 ? -1 : (shape[i] ?? size)));

/** The settings of a function of keras.ops: those of its arguments that Keras stores as settings. */
export function followOperation(name: string, config: Config, outputs: readonly Shape[]): Config {
  return name === 'Reshape' && Array.isArray(config['newshape'])
    ? set(config, { newshape: known(config['newshape'], itemOf(outputs, 0, 'the list of outputs')) })
    : config;
}

/**
 * The layer's settings for the new sizes.
 * @throws LatheError `unsupported-operator` where it is not known which settings give the sizes of its arrays.
 */
export function followSizes(className: string, layer: Resized): Config {
  const plainName = plainClassName(className);
  const follow = FOLLOW_OUTPUT[plainName] ?? (layer.arrays.length === 0 ? nothing : FOLLOW[plainName]);
  if (follow) return follow(layer);
  const name = String(layer.config['name']);
  throw new LatheError(
    'unsupported-operator',
    `layer "${name}" (${className}): channels of its arrays were removed, and which of its settings speak of ` +
      'them is not known',
    [{ path: name, message: 'cannot be made smaller' }],
  );
}
