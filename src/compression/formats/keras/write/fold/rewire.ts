/** Removes layers from a serialized model: their readers read the layers before them. */
import { layerConfig } from '../../config.ts';
import type { Config } from '../../layer.ts';
import type { FoldPair } from './pairs.ts';

/** The list of layers in a serialized model; in old Sequential ones it is all there is. */
export function layersOf({ config }: Config): readonly Config[] {
  return (Array.isArray(config) ? config : (config as Config)['layers']) as Config[];
}

export const withLayers = (model: Config, layers: readonly Config[], more: Config = {}): Config => ({
  ...model,
  config: Array.isArray(model['config']) ? layers : { ...(model['config'] as Config), ...more, layers },
});

/** The model without the normalizations of the pairs; the products have a bias. */
export function withoutNormalizations(model: Config, pairs: readonly FoldPair[]): Config {
  const products = new Set(pairs.map(({ product }) => product.raw));
  const gone = new Set(pairs.map(({ norm }) => norm.raw));
  const instead = new Map(pairs.map(({ product, norm }) => [norm.name, product.name]));
  const layers = layersOf(model)
    .filter((raw) => !gone.has(raw))
    .map((raw) => {
      const own = products.has(raw) ? { ...raw, config: { ...(raw['config'] as Config), use_bias: true } } : raw;
      return own['inbound_nodes'] === undefined
        ? own
        : { ...own, inbound_nodes: rewired(own['inbound_nodes'], instead) };
    });
  const outputs = (model['config'] as Config)['output_layers'];
  return withLayers(model, layers, outputs === undefined ? {} : { output_layers: rewired(outputs, instead) });
}

/**
 * References are [layer, call, tensor], with keywords behind them in Keras 2; both layers of a pair are called once, so
 * that the call stays 0.
 */
function rewired(value: unknown, instead: ReadonlyMap<string, string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (!Array.isArray(value))
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, rewired(item, instead)]));
  const items = value.map((item) => rewired(item, instead));
  const [layer, call, tensor] = items;
  const product =
    typeof layer === 'string' && typeof call === 'number' && typeof tensor === 'number'
      ? instead.get(layer)
      : undefined;
  return product === undefined ? items : [product, ...items.slice(1)];
}

/** The model with its layers in the given order. */
export function inOrder(model: Config, names: readonly string[]): Config {
  const places = new Map(names.map((name, i) => [name, i]));
  const place = (raw: Config): number => places.get(layerConfig(raw).name)!;
  return withLayers(
    model,
    [...layersOf(model)].sort((a, z) => place(a) - place(z)),
  );
}
