/** Which normalizations of a Keras model can be folded into the layer before them. */
import { existing, itemOf } from '../../../../ir/checked-access.ts';
import type { Call, LayerConfig, ModelConfig, TensorRef } from '../../config.ts';
import type { Config, WeightArray } from '../../layer.ts';

/** A layer that computes a product, and the only reader of its output. */
export interface FoldPair {
  readonly product: LayerConfig;
  readonly norm: LayerConfig;
}

/** Facts about a layer that its settings do not contain. */
export interface LayerFacts {
  /** In the order Keras creates them; of layers that were not read, none. */
  arrays(layer: LayerConfig): readonly WeightArray[];
  /** Of the output of its first call, the batch included; undefined where it was not read. */
  rank(layer: LayerConfig): number | undefined;
}

/** Where a layer's output channels lie in its last kernel, by the axes that follow them. */
interface Kernel {
  /** Arrays without the bias. */
  readonly count: 1 | 2;
  /** The number of channels, and of kernel elements after each, from the kernel's dims. */
  layout(dims: readonly number[]): { readonly channels: number; readonly behind: number };
}

const KERNEL = 'the shape of the kernel';
const last = (dims: readonly number[]): { channels: number; behind: number } => ({
  channels: itemOf(dims, -1, KERNEL),
  behind: 1,
});
const LAST: Kernel = { count: 1, layout: last };
/** Pointwise kernel [...1, cin multiplier, cout] after the depthwise one. */
const SEPARABLE: Kernel = { count: 2, layout: last };
/** [...k, cout, cin] */
const TRANSPOSED: Kernel = {
  count: 1,
  layout: (dims) => ({ channels: itemOf(dims, -2, KERNEL), behind: itemOf(dims, -1, KERNEL) }),
};
/** [...k, cin, multiplier]: channel c gives outputs c multiplier ... */
const DEPTHWISE: Kernel = {
  count: 1,
  layout: (dims) => ({ channels: itemOf(dims, -2, KERNEL) * itemOf(dims, -1, KERNEL), behind: 1 }),
};

const named = (kernel: Kernel, names: readonly string[]): Record<string, Kernel> =>
  Object.fromEntries(names.map((name) => [name, kernel]));

const PRODUCTS: Readonly<Record<string, Kernel>> = {
  Dense: LAST,
  ...named(
    LAST,
    [1, 2, 3].flatMap((n) => [`Conv${n}D`, `Convolution${n}D`]),
  ),
  ...named(
    TRANSPOSED,
    [1, 2, 3].flatMap((n) => [`Conv${n}DTranspose`, `Convolution${n}DTranspose`]),
  ),
  ...named(
    SEPARABLE,
    [1, 2].flatMap((n) => [`SeparableConv${n}D`, `SeparableConvolution${n}D`]),
  ),
  ...named(DEPTHWISE, ['DepthwiseConv1D', 'DepthwiseConv2D']),
};

const NORMALIZATIONS: ReadonlySet<string> = new Set([
  'BatchNormalization',
  'BatchNormalizationV1',
  'BatchNormalizationV2',
  'SyncBatchNormalization',
]);

export const kernelOf = ({ className }: LayerConfig): Kernel =>
  existing(PRODUCTS[className], `the layout of the kernel of ${className}`);

type Called = ModelConfig['layers'][number];

/**
 * Pairs of one model, not of those within it. The product is a linear layer that is called once and read by the
 * normalization alone, which is called once too and lies over the channels.
 * @param named outputs of the model are known by their layers' names: normalizations that make one stay
 */
export function findPairs(model: ModelConfig, facts: LayerFacts, named: boolean): FoldPair[] {
  const layers = new Map(model.layers.map((layer) => [layer.name, layer]));
  const outputs = new Set(model.outputs.map(({ layer }) => layer));
  const reads = countReads(model);
  return model.layers.flatMap((norm) => {
    const input = NORMALIZATIONS.has(norm.className) && !(named && outputs.has(norm.name)) ? onlyInput(norm) : null;
    const product = input && layers.get(input.layer);
    if (!product || reads.get(product.name) !== 1 || outputs.has(product.name)) return [];
    return isLinear(product) && overChannels(norm, product, facts) && haveTheirArrays(norm, product, facts)
      ? [{ product, norm }]
      : [];
  });
}

function countReads({ layers }: ModelConfig): Map<string, number> {
  const reads = new Map<string, number>();
  for (const { layer } of layers.flatMap(({ calls }) =>
    calls.flatMap((call) => [...call.inputs, ...[...call.keywords.values()].flat()]),
  ))
    reads.set(layer, (reads.get(layer) ?? 0) + 1);
  return reads;
}

/** The input of a layer that is called once with one tensor, and not with the statistics of the batch. */
function onlyInput({ calls }: Called): TensorRef | null {
  const [call, ...more] = calls;
  if (!call || more.length > 0 || !isPlain(call)) return null;
  const [input, ...others] = call.inputs;
  return input && others.length === 0 ? input : null;
}

const isPlain = ({ keywords, arguments: others }: Call): boolean =>
  keywords.size === 0 && Object.values(others).every((value) => value === false);

/** Keras 3 writes a function as its name, or as an object of it. */
function isLinear(layer: Called): boolean {
  const { activation } = layer.config;
  const name =
    typeof activation === 'object' && activation !== null ? (activation as { config?: unknown }).config : activation;
  return (
    layer.className in PRODUCTS &&
    onlyInput(layer) !== null &&
    (name === undefined || name === null || name === 'linear')
  );
}

function overChannels({ config }: Called, product: Called, { rank }: LayerFacts): boolean {
  const size = rank(product);
  if (size === undefined) return false;
  const axes = [config['axis'] ?? -1].flat().map((axis) => (Number(axis) + size) % size);
  const channels = product.className !== 'Dense' && product.config['data_format'] === 'channels_first' ? 1 : size - 1;
  return axes.length === 1 && axes[0] === channels;
}

const hasFlag = (config: Config, key: string): number => (config[key] === false ? 0 : 1);

/** Layers with other arrays than Keras gives them (adapters, quantized kernels) stay. */
function haveTheirArrays(norm: Called, product: Called, { arrays }: LayerFacts): boolean {
  const [own, statistics] = [arrays(product), arrays(norm)];
  const { count, layout } = kernelOf(product);
  if (
    own.length !== count + hasFlag(product.config, 'use_bias') ||
    statistics.length !== 2 + hasFlag(norm.config, 'scale') + hasFlag(norm.config, 'center')
  )
    return false;
  const { channels } = layout(itemOf(own, count - 1, 'the list of its arrays').dims);
  return [...own.slice(count), ...statistics].every(({ dims }) => dims.length === 1 && dims[0] === channels);
}
