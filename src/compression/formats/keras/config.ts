/** The topology in a serialized Keras model (versions 2 and 3): layers, and the tensors each call takes. */
import { itemOf } from '../../ir/checked-access.ts';
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
  /** Tensors among the positional arguments, nested ones flattened. */
  readonly inputs: readonly TensorRef[];
  readonly keywords: ReadonlyMap<string, readonly TensorRef[]>;
  /** Keyword arguments that are no tensors. */
  readonly arguments: Config;
  /** All arguments as serialized: operations distinguish tensors and constants by position. */
  readonly args: readonly unknown[];
  readonly kwargs: Config;
}

export interface ModelConfig {
  readonly name: string;
  readonly layers: readonly (LayerConfig & { readonly calls: readonly Call[] })[];
  readonly inputs: readonly TensorRef[];
  readonly outputs: readonly TensorRef[];
}

const MODEL_CLASSES = new Set(['Model', 'Functional', 'Sequential', 'Keras>Functional']);
/** The class without its package: `Custom>Dense` -> `Dense`. */
export const plainClassName = (className: string): string => className.slice(className.lastIndexOf('>') + 1);
export const isModelClass = (className: string): boolean => MODEL_CLASSES.has(className);

/** Layers whose configuration has no `trainable`. */
const BARE_LAYERS: ReadonlySet<string> = new Set([
  'InputLayer',
  'SpatialDropout1D',
  'SpatialDropout2D',
  'SpatialDropout3D',
  'Discretization',
  'Pipeline',
  'Lambda',
]);

/**
 * A node of a Keras 3 graph that is a function of keras.ops, not a layer: `Add` is both. The HDF5 form tells no
 * modules; there only layers say whether they are trainable.
 */
export function isOperation({ className, config, raw }: LayerConfig): boolean {
  if (typeof raw['module'] === 'string') return raw['module'].startsWith('keras.src.ops');
  const nodes = raw['inbound_nodes'];
  const isNew = Array.isArray(nodes) && typeof nodes[0] === 'object' && nodes[0] !== null && !Array.isArray(nodes[0]);
  return (
    isNew &&
    !('trainable' in config) &&
    !BARE_LAYERS.has(className) &&
    !className.includes('>') &&
    !isModelClass(className)
  );
}

const object = (value: unknown, what: string): Config => {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Config;
  throw new Error(`${what} is missing or is not an object`);
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
  if (!isModelClass(className))
    throw new Error(`the model is of class "${className}": only Functional and Sequential models store their topology`);
  return className === 'Sequential' ? sequential(config, name) : functional(config, name);
}

function functional(config: Config, name: string): ModelConfig {
  const layers = list(config['layers'], 'layers').map((item) => {
    const raw = object(item, 'a layer');
    return { ...layerConfig(raw), calls: list(raw['inbound_nodes'] ?? [], 'inbound_nodes').map(parseCall) };
  });
  const nodes = list(config['layers'], 'layers').flatMap(
    (item) => ((item as Config)['inbound_nodes'] ?? []) as unknown[],
  );
  const outputs = references(config['output_layers'], 'output_layers');
  const counted = nodes.some(Array.isArray)
    ? renumbered(layers, outputs)
    : { layers, outputs: outputs.map((ref) => withoutOwnNode(layers, ref)) };
  return { name, inputs: references(config['input_layers'], 'input_layers'), ...counted };
}

/**
 * In Keras 3 the outputs of a model count a functional model's own graph as the first of its calls; the inputs of
 * layers do not.
 */
function withoutOwnNode(layers: readonly LayerConfig[], ref: TensorRef): TensorRef {
  const layer = layers.find(({ name }) => name === ref.layer);
  return layer && isModelClass(layer.className) && layer.className !== 'Sequential' && ref.node > 0
    ? { ...ref, node: ref.node - 1 }
    : ref;
}

/**
 * Keras 2 counts calls of nested models from 1 (their own graph is call 0), in some versions from 0: the least number
 * is the first call.
 */
function renumbered(
  layers: ModelConfig['layers'],
  outputs: readonly TensorRef[],
): Pick<ModelConfig, 'layers' | 'outputs'> {
  const models = new Set(layers.filter(({ className }) => isModelClass(className)).map(({ name }) => name));
  const refs = [
    ...outputs,
    ...layers.flatMap(({ calls }) => calls.flatMap((call) => [...call.inputs, ...[...call.keywords.values()].flat()])),
  ];
  const first = new Map<string, number>();
  for (const { layer, node } of refs) if (models.has(layer)) first.set(layer, Math.min(node, first.get(layer) ?? node));
  const shift = (ref: TensorRef): TensorRef => ({ ...ref, node: ref.node - (first.get(ref.layer) ?? 0) });
  // Operations read the arguments as they are serialized.
  const raw = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (!Array.isArray(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, raw(item)]));
    if (!isReference(value)) return value.map(raw);
    const { layer, node, tensor } = shift(reference(value));
    return [layer, node, tensor];
  };
  const moved = (call: Call): Call => ({
    ...call,
    inputs: call.inputs.map(shift),
    keywords: new Map([...call.keywords].map(([key, own]) => [key, own.map(shift)])),
    args: raw(call.args) as unknown[],
    kwargs: raw(call.kwargs) as Config,
  });
  return { outputs: outputs.map(shift), layers: layers.map((layer) => ({ ...layer, calls: layer.calls.map(moved) })) };
}

/** A chain of layers. An InputLayer comes first; where there is none, the first layer gives its shape. */
function sequential(config: Config, name: string): ModelConfig {
  const given = (Array.isArray(config) ? config : list(config['layers'], 'layers')).map((item) =>
    layerConfig(object(item, 'a layer')),
  );
  const first = given[0];
  if (!first) throw new Error('the model has no layers');
  const shape =
    first.config['batch_input_shape'] ??
    first.config['batch_shape'] ??
    config['build_input_shape'] ??
    firstInputShape(first.raw);
  const chain = first.className === 'InputLayer' ? given : [inputLayer(`${name}_input`, first, shape), ...given];
  const outputOf = (place: number): TensorRef => ({
    layer: itemOf(chain, place, 'the list of layers').name,
    node: 0,
    tensor: 0,
  });
  const layers = chain.map((layer, i) => ({
    ...layer,
    calls: i === 0 ? [] : [plainCall(outputOf(i - 1))],
  }));
  return {
    name,
    layers,
    inputs: [outputOf(0)],
    outputs: [outputOf(-1)],
  };
}

const plainCall = (input: TensorRef): Call => ({
  inputs: [input],
  keywords: new Map(),
  arguments: {},
  args: [],
  kwargs: {},
});

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
  throw new Error(`${what} is missing or is not a list`);
}

/**
 * [["name", 0, 0], ...], one bare ["name", 0, 0], or an object of them (dictionary inputs, in Keras's sorted order).
 */
function references(value: unknown, what: string): TensorRef[] {
  if (Array.isArray(value)) {
    if (typeof value[0] === 'string') return [reference(value)];
    return value.flatMap((item) => references(item, what));
  }
  if (typeof value === 'object' && value !== null) return sortedValues(value).flatMap((item) => references(item, what));
  throw new Error(`${what} is missing`);
}

/** A dictionary flattens in the order of its keys. */
const sortedValues = (value: object): unknown[] =>
  Object.entries(value)
    .sort(([a], [z]) => (a < z ? -1 : 1))
    .map(([, item]) => item as unknown);

const reference = ([layer, node, tensor]: readonly unknown[]): TensorRef => ({
  layer: String(layer),
  node: Number(node),
  tensor: Number(tensor),
});

/** Keras 3: `{args, kwargs}` with `__keras_tensor__` objects; Keras 2: [["name", node, tensor, {kwargs}], ...]. */
function parseCall(node: unknown): Call {
  const inputs: TensorRef[] = [];
  const keywords = new Map<string, readonly TensorRef[]>();
  const others: Record<string, unknown> = {};
  const takeKeywords = (kwargs: Config): void => {
    for (const [key, value] of Object.entries(kwargs)) {
      const refs = tensorsIn(value);
      if (refs.length > 0) keywords.set(key, refs);
      else if (value !== null) others[key] = value;
    }
  };
  if (Array.isArray(node)) {
    const items = (typeof node[0] === 'string' ? [node] : node) as (readonly unknown[])[];
    for (const item of items) {
      if (isReference(item.slice(0, 3))) inputs.push(reference(item));
      takeKeywords((item[3] ?? {}) as Config);
    }
    return {
      inputs,
      keywords,
      arguments: others,
      args: items.map((item) => (item[0] === '_CONSTANT_VALUE' ? item[2] : item.slice(0, 3))),
      kwargs: Object.assign({}, ...items.map((item) => item[3] ?? {})) as Config,
    };
  }
  const { args, kwargs } = object(node, 'an inbound node') as { args?: unknown; kwargs?: Config };
  inputs.push(...tensorsIn(args ?? []));
  takeKeywords(kwargs ?? {});
  return { inputs, keywords, arguments: others, args: Array.isArray(args) ? args : [], kwargs: kwargs ?? {} };
}

/** The tensor that a serialized value refers to; null where it is no tensor. */
export function tensorRef(value: unknown): TensorRef | null {
  if (Array.isArray(value)) return isReference(value) ? reference(value) : null;
  if (typeof value !== 'object' || value === null) return null;
  const { class_name: className, config } = value as { class_name?: string; config?: { keras_history?: unknown[] } };
  return className === '__keras_tensor__' && config?.keras_history ? reference(config.keras_history) : null;
}

const isReference = (value: readonly unknown[]): boolean =>
  value.length === 3 &&
  typeof value[0] === 'string' &&
  value[0] !== '_CONSTANT_VALUE' &&
  typeof value[1] === 'number' &&
  typeof value[2] === 'number';

function tensorsIn(value: unknown): TensorRef[] {
  const own = tensorRef(value);
  if (own) return [own];
  if (Array.isArray(value)) return value.flatMap(tensorsIn);
  if (typeof value !== 'object' || value === null || 'class_name' in value) return [];
  return sortedValues(value).flatMap(tensorsIn);
}
