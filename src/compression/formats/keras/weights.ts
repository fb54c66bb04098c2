/** Where a layer's arrays are: Keras 2's HDF5 lists them by name, Keras 3 files them by attribute path, TF.js in a manifest. */
import { LatheError } from '../../../errors.ts';
import { snakeCase } from './activations.ts';
import type { LayerConfig } from './config.ts';
import type { Hdf5Node } from './hdf5.ts';
import type { Config, WeightArray } from './layer.ts';

/** The arrays of the layers of one model. */
export interface WeightSource {
  /** A layer's arrays in the order Keras creates them. */
  arrays(layer: LayerConfig): WeightArray[];
  /** The source for a nested model. */
  nested(layer: LayerConfig): WeightSource;
}

export interface NamedArray {
  readonly name: string;
  read(): WeightArray;
}

/** Arrays listed by names such as `outer/conv/kernel:0`: a layer's are those with its name among the leading segments. */
export function namedSource(entries: readonly NamedArray[]): WeightSource {
  const of = ({ name }: LayerConfig): NamedArray[] => {
    const own = entries.filter((entry) => containsSegments(entry.name, name));
    const starting = own.filter((entry) => entry.name.startsWith(`${name}/`));
    return starting.length > 0 ? starting : own;
  };
  return {
    arrays: (layer) => of(layer).map((entry) => entry.read()),
    nested: (layer) => namedSource(of(layer)),
  };
}

/** `name` may itself hold slashes. */
const containsSegments = (path: string, name: string): boolean => `/${path.slice(0, path.lastIndexOf('/') + 1)}`.includes(`/${name}/`);

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
    nested: (layer) => namedSource(entriesOf(layer)),
  };
}

/** A list of strings; one too long for an HDF5 attribute is cut into `name0`, `name1`, ... */
function listAttribute(group: Hdf5Node, name: string): unknown[] {
  const whole = group.attribute(name);
  if (Array.isArray(whole)) return whole;
  const parts: unknown[] = [];
  for (let i = 0, part = group.attribute(`${name}0`); Array.isArray(part); part = group.attribute(`${name}${++i}`)) parts.push(...(part as unknown[]));
  return parts;
}

/** Attributes of wrappers and composite layers that hold arrays, in creation order. */
const CHILDREN: Readonly<Record<string, readonly string[]>> = {
  Bidirectional: ['forward_layer', 'backward_layer'],
  TimeDistributed: ['layer'],
  LSTM: ['cell'], GRU: ['cell'], SimpleRNN: ['cell'],
  MultiHeadAttention: ['query_dense', 'key_dense', 'value_dense', 'output_dense'],
};

/**
 * Keras 3's `model.weights.h5`. Layers are filed under their class name in snake case, numbered by occurrence, not under their own
 * name; arrays under `vars/0`, `vars/1`, ...
 */
export function keras3Source(model: Hdf5Node, layers: readonly LayerConfig[]): WeightSource {
  const counts = new Map<string, number>();
  const paths = new Map<string, string>();
  for (const layer of layers) {
    const base = snakeCase(layer.className.split('>').at(-1)!);
    const seen = counts.get(base) ?? 0;
    counts.set(base, seen + 1);
    if (!paths.has(layer.name)) paths.set(layer.name, seen === 0 ? base : `${base}_${seen}`);
  }
  const groupOf = (layer: LayerConfig): Hdf5Node | null => model.group(`layers/${paths.get(layer.name) ?? layer.name}`) ?? model.group(`_layer_checkpoint_dependencies/${layer.name}`);
  return {
    arrays(layer) {
      const group = groupOf(layer);
      return group ? arraysUnder(group, layer.className, layer.config) : [];
    },
    nested(layer) {
      const group = groupOf(layer);
      if (!group) throw new LatheError('malformed-model', `The file holds no arrays for the nested model "${layer.name}"`, [{ path: layer.name, message: 'has no arrays' }]);
      return keras3Source(group, ((layer.config['layers'] as Config[]) ?? []).map(configOf));
    },
  };
}

const configOf = (raw: Config): LayerConfig => {
  const config = (raw['config'] ?? {}) as Config;
  return { className: String(raw['class_name']), name: String(raw['name'] ?? config['name']), config, raw };
};

function arraysUnder(group: Hdf5Node, className: string, config: Config): WeightArray[] {
  const own = group.group('vars');
  const arrays = own ? own.members().map(Number).sort((a, z) => a - z).map((index) => own.array(String(index))) : [];
  for (const child of CHILDREN[className] ?? []) {
    const inner = group.group(child);
    const layer = config['layer'] as { class_name?: string; config?: Config } | undefined;
    if (inner) arrays.push(...arraysUnder(inner, layer?.class_name ?? '', layer?.config ?? {}));
  }
  return arrays;
}
