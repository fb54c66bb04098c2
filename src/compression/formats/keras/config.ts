/** The topology in a serialized Keras model (versions 2 and 3): layers, and the tensors each call takes. */
import type { Config } from './layer.ts';

export interface LayerConfig {
  readonly className: string;
  readonly name: string;
  readonly config: Config;
  readonly raw: Config;
}

/** Output `tensor` of the `node`-th call of a layer. */
export interface TensorRef {
  readonly layer: string;
  readonly node: number;
  readonly tensor: number;
}

export interface Call {
  readonly inputs: readonly TensorRef[];
  readonly keywords: ReadonlyMap<string, TensorRef>;
  /** Keyword arguments that are no tensors. */
  readonly arguments: Config;
}

export interface ModelConfig {
  readonly name: string;
  readonly layers: readonly (LayerConfig & { readonly calls: readonly Call[] })[];
  readonly inputs: readonly TensorRef[];
  readonly outputs: readonly TensorRef[];
}

const MODEL_CLASSES = new Set(['Model', 'Functional', 'Sequential', 'Keras>Functional']);
export const isModelClass = (className: string): boolean => MODEL_CLASSES.has(className);

const object = (value: unknown, what: string): Config => {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Config;
  throw new Error(`${what} is missing or no object`);
};

export function layerConfig(raw: Config): LayerConfig {
  const className = raw['class_name'];
  const config = object(raw['config'] ?? {}, 'config');
  if (typeof className !== 'string') throw new Error('a layer has no class_name');
  const name = raw['name'] ?? config['name'] ?? className;
  return { className, name: String(name), config, raw };
}

/** Parses a model's `{class_name, config}`. Subclassed models store no topology and are refused. */
export function modelConfig(raw: Config): ModelConfig {
  const { className, config, name } = layerConfig(raw);
  if (!isModelClass(className)) throw new Error(`the model is of class "${className}": only Functional and Sequential models hold their topology`);
  return className === 'Sequential' ? sequential(config, name) : functional(config, name);
}

function functional(config: Config, name: string): ModelConfig {
  const layers = list(config['layers'], 'layers').map((item) => {
    const raw = object(item, 'a layer');
    return { ...layerConfig(raw), calls: list(raw['inbound_nodes'] ?? [], 'inbound_nodes').map(parseCall) };
  });
  return { name, layers, inputs: references(config['input_layers'], 'input_layers'), outputs: references(config['output_layers'], 'output_layers') };
}

/** A chain; where the first layer only tells its input shape, an InputLayer is put before it. */
function sequential(config: Config, name: string): ModelConfig {
  const given = (Array.isArray(config) ? config : list(config['layers'], 'layers')).map((item) => layerConfig(object(item, 'a layer')));
  const first = given[0];
  if (!first) throw new Error('the model has no layers');
  const shape = first.config['batch_input_shape'] ?? first.config['batch_shape'] ?? config['build_input_shape'] ?? firstInputShape(first.raw);
  const chain = first.className === 'InputLayer' ? given : [inputLayer(`${name}_input`, first, shape), ...given];
  const layers = chain.map((layer, i) => ({ ...layer, calls: i === 0 ? [] : [{ inputs: [{ layer: chain[i - 1]!.name, node: 0, tensor: 0 }], keywords: new Map<string, TensorRef>(), arguments: {} }] }));
  return { name, layers, inputs: [{ layer: chain[0]!.name, node: 0, tensor: 0 }], outputs: [{ layer: chain.at(-1)!.name, node: 0, tensor: 0 }] };
}

function firstInputShape(raw: Config): unknown {
  const inner = (raw['config'] as Config | undefined)?.['layers'];
  if (Array.isArray(inner) && inner[0]) {
    const config = layerConfig(object(inner[0], 'a layer')).config;
    return config['batch_input_shape'] ?? config['batch_shape'];
  }
  return (raw['build_config'] as Config | undefined)?.['input_shape'];
}

function inputLayer(name: string, first: LayerConfig, shape: unknown): LayerConfig {
  if (!Array.isArray(shape)) throw new Error('the model does not say the shape of its input');
  const config = { batch_shape: shape, dtype: first.className === 'Embedding' ? 'int32' : 'float32', name };
  return { className: 'InputLayer', name, config, raw: { class_name: 'InputLayer', config } };
}

function list(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new Error(`${what} is missing or no list`);
}

/** [["name", 0, 0], ...], one bare ["name", 0, 0], or an object of them (dictionary inputs, in Keras's sorted order). */
function references(value: unknown, what: string): TensorRef[] {
  if (Array.isArray(value)) {
    if (typeof value[0] === 'string') return [reference(value)];
    return value.flatMap((item) => references(item, what));
  }
  if (typeof value === 'object' && value !== null) return Object.values(value).flatMap((item) => references(item, what));
  throw new Error(`${what} is missing`);
}

const reference = ([layer, node, tensor]: readonly unknown[]): TensorRef => ({ layer: String(layer), node: Number(node), tensor: Number(tensor) });

/** Keras 3: `{args, kwargs}` with `__keras_tensor__` objects; Keras 2: [["name", node, tensor, {kwargs}], ...]. */
function parseCall(node: unknown): Call {
  const inputs: TensorRef[] = [];
  const keywords = new Map<string, TensorRef>();
  const others: Record<string, unknown> = {};
  const takeKeywords = (kwargs: Config): void => {
    for (const [key, value] of Object.entries(kwargs)) {
      const refs = tensorsIn(value);
      if (refs.length > 0) keywords.set(key, refs[0]!);
      else if (value !== null) others[key] = value;
    }
  };
  if (Array.isArray(node)) {
    for (const item of typeof node[0] === 'string' ? [node] : node) {
      inputs.push(reference(item as readonly unknown[]));
      takeKeywords(((item as readonly unknown[])[3] ?? {}) as Config);
    }
  } else {
    const { args, kwargs } = object(node, 'an inbound node') as { args?: unknown; kwargs?: Config };
    inputs.push(...tensorsIn(args ?? []));
    takeKeywords(kwargs ?? {});
  }
  return { inputs, keywords, arguments: others };
}

function tensorsIn(value: unknown): TensorRef[] {
  if (Array.isArray(value)) {
    if (value.length === 3 && typeof value[0] === 'string' && typeof value[1] === 'number' && typeof value[2] === 'number') return [reference(value)];
    return value.flatMap(tensorsIn);
  }
  if (typeof value !== 'object' || value === null) return [];
  const { class_name: className, config } = value as { class_name?: string; config?: { keras_history?: unknown[] } };
  return className === '__keras_tensor__' && config?.keras_history ? [reference(config.keras_history)] : [];
}
