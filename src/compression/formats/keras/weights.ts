/**
 * Where a layer's arrays are: Keras 2's HDF5 lists them by name, Keras 3 files them by attribute path, TF.js in a
 * manifest.
 */
import { LatheError } from '../../../errors.ts';
import { snakeCase } from './activations.ts';
import { isOperation, plainClassName, type LayerConfig } from './config.ts';
import type { Hdf5Node } from './hdf5.ts';
import type { Config, WeightArray } from './layer.ts';

/** The arrays of the layers of one model. */
export interface WeightSource {
  /** A layer's arrays in the order Keras creates them. */
  arrays(layer: LayerConfig): WeightArray[];
  /** The source for a nested model. */
  nested(layer: LayerConfig): WeightSource;
  /** The source for the model that a wrapper holds as `attribute`. */
  wrapped(wrapper: LayerConfig, attribute: string, inner: LayerConfig): WeightSource;
}

export interface NamedArray {
  readonly name: string;
  read(): WeightArray;
}

/**
 * Arrays listed by names such as `outer/conv/kernel:0`: a layer's are those with its name among the leading segments.
 */
export function namedSource(entries: readonly NamedArray[]): WeightSource {
  const of = ({ name }: LayerConfig): NamedArray[] => {
    const own = entries.filter((entry) => containsSegments(entry.name, name));
    const starting = own.filter((entry) => entry.name.startsWith(`${name}/`));
    return starting.length > 0 ? starting : own;
  };
  // Keras 3 names the arrays of nested models by their layers alone, and refuses to save them where two layers share a
  // name.
  const nested = (layer: LayerConfig): WeightSource => {
    const own = of(layer);
    return namedSource(own.length > 0 ? own : entries);
  };
  return {
    arrays: (layer) => of(layer).map((entry) => entry.read()),
    nested,
    wrapped: (wrapper, _, inner) => {
      const own = of(wrapper);
      return namedSource(own.length > 0 ? own : entries).nested(inner);
    },
  };
}

/** `name` may itself hold slashes. */
const containsSegments = (path: string, name: string): boolean =>
  `/${path.slice(0, path.lastIndexOf('/') + 1)}`.includes(`/${name}/`);

/** Keras 2's whole-model HDF5: a group per layer with `weight_names`, in creation order. */
export function legacyH5Source(weights: Hdf5Node): WeightSource {
  const entriesOf = (layer: LayerConfig): NamedArray[] => {
    const group = weights.group(layer.name);
    const names = group ? listAttribute(group, 'weight_names') : [];
    if (!group) return [];
    return names.map((name) => ({ name: String(name), read: () => group.array(String(name)) }));
  };
  return {
    arrays: (layer) => entriesOf(layer).map((entry) => entry.read()),
    nested: (layer) => namedSource(entriesOf(layer)).nested(layer),
    wrapped: (wrapper, _, inner) => namedSource(entriesOf(wrapper)).nested(inner),
  };
}

/** A list of strings; one too long for an HDF5 attribute is cut into `name0`, `name1`, ... */
function listAttribute(group: Hdf5Node, name: string): unknown[] {
  const whole = group.attribute(name);
  if (Array.isArray(whole)) return whole;
  const parts: unknown[] = [];
  for (let i = 0, part = group.attribute(`${name}0`); Array.isArray(part); part = group.attribute(`${name}${++i}`))
    parts.push(...(part as unknown[]));
  return parts;
}

const ATTENTION_PARTS = ['query_dense', 'key_dense', 'gate_dense', 'value_dense', 'output_dense'];

/** Attributes of wrappers and composite layers that hold arrays, in creation order. */
const CHILDREN: Readonly<Record<string, readonly string[]>> = {
  Bidirectional: ['forward_layer', 'backward_layer'],
  TimeDistributed: ['layer'],
  SpectralNormalization: ['layer'],
  LSTM: ['cell'],
  GRU: ['cell'],
  SimpleRNN: ['cell'],
  RNN: ['cell'],
  ConvLSTM1D: ['cell'],
  ConvLSTM2D: ['cell'],
  ConvLSTM3D: ['cell'],
  MultiHeadAttention: ATTENTION_PARTS,
  GroupQueryAttention: ATTENTION_PARTS,
  GroupedQueryAttention: ATTENTION_PARTS,
};

/** Classes whose Python name, by which layers are filed, differs from the serialized name. */
const PYTHON_NAMES: Readonly<Record<string, string>> = { GroupQueryAttention: 'GroupedQueryAttention' };

/**
 * Keras 3's `model.weights.h5`. Layers are filed under their class name in snake case, numbered by occurrence, not
 * under their own name; arrays under `vars/0`, `vars/1`, ...
 */
export function keras3Source(model: Hdf5Node, layers: readonly LayerConfig[]): WeightSource {
  const paths = keras3Groups(layers);
  const groupOf = (layer: LayerConfig): Hdf5Node | null =>
    model.group(`layers/${paths.get(layer.name) ?? layer.name}`) ??
    model.group(`_layer_checkpoint_dependencies/${layer.name}`);
  return {
    arrays(layer) {
      const group = groupOf(layer);
      return group ? arraysUnder(group, layer.className, layer.config) : [];
    },
    nested(layer) {
      const group = groupOf(layer);
      if (!group)
        throw new LatheError('malformed-model', `The file holds no arrays for the nested model "${layer.name}"`, [
          { path: layer.name, message: 'has no arrays' },
        ]);
      return keras3Source(group, innerLayers(layer));
    },
    wrapped(wrapper, attribute, inner) {
      const group = groupOf(wrapper)?.group(attribute);
      if (!group)
        throw new LatheError('malformed-model', `The file holds no arrays for the model in "${wrapper.name}"`, [
          { path: wrapper.name, message: 'has no arrays' },
        ]);
      return keras3Source(group, innerLayers(inner));
    },
  };
}

/** Names of the groups of the layers of one model in `layers`, by the names of the layers. */
export function keras3Groups(layers: readonly LayerConfig[]): Map<string, string> {
  const counts = new Map<string, number>();
  const groups = new Map<string, string>();
  for (const layer of layers) {
    if (isOperation(layer)) continue;
    const base = snakeCase(PYTHON_NAMES[layer.className] ?? plainClassName(layer.className));
    const seen = counts.get(base) ?? 0;
    counts.set(base, seen + 1);
    if (!groups.has(layer.name)) groups.set(layer.name, seen === 0 ? base : `${base}_${seen}`);
  }
  return groups;
}

const innerLayers = ({ config }: LayerConfig): LayerConfig[] =>
  ((config['layers'] as Config[] | undefined) ?? []).map(configOf);

const configOf = (raw: Config): LayerConfig => {
  const config = (raw['config'] ?? {}) as Config;
  return { className: String(raw['class_name']), name: String(raw['name'] ?? config['name']), config, raw };
};

function arraysUnder(group: Hdf5Node, className: string, config: Config): WeightArray[] {
  const own = group.group('vars');
  const arrays = own
    ? own
        .members()
        .map(Number)
        .sort((a, z) => a - z)
        .map((index) => own.array(String(index)))
    : [];
  const children = childrenOf(group, className, config).flatMap(({ group: inner, layer }) =>
    arraysUnder(inner, layer?.class_name ?? '', layer?.config ?? {}),
  );
  // The wrapper repeats the kernel of its layer; its own vector, which only training reads, comes last.
  return className === 'SpectralNormalization' ? [...children, ...arrays.slice(-1)] : [...arrays, ...children];
}

interface Child {
  readonly group: Hdf5Node;
  readonly layer: { readonly class_name?: string; readonly config?: Config } | undefined;
}

function childrenOf(group: Hdf5Node, className: string, config: Config): Child[] {
  if (className === 'StackedRNNCells') return cellsOf(group, config);
  return (CHILDREN[className] ?? []).flatMap((name) => {
    const inner = group.group(name) ?? group.group(`_${name}`);
    const layer = (
      name === 'backward_layer' ? (config['backward_layer'] ?? config['layer']) : (config[name] ?? config['layer'])
    ) as Child['layer'];
    return inner ? [{ group: inner, layer }] : [];
  });
}

/** Stacked cells are stored under `cells` and named like layers. */
function cellsOf(group: Hdf5Node, config: Config): Child[] {
  const counts = new Map<string, number>();
  return ((config['cells'] ?? []) as { class_name: string; config: Config }[]).flatMap((layer) => {
    const base = snakeCase(layer.class_name);
    const seen = counts.get(base) ?? 0;
    counts.set(base, seen + 1);
    const inner = group.group(`cells/${seen === 0 ? base : `${base}_${seen}`}`);
    return inner ? [{ group: inner, layer }] : [];
  });
}
