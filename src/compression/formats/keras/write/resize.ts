/** A Keras topology for arrays of other sizes: the settings of layers, and the shapes that are recorded beside them. */
import { itemOf } from '../../../ir/checked-access.ts';
import type { TypeTable } from '../../../graph/infer.ts';
import { isModelClass, isOperation, layerConfig, type LayerConfig } from '../config.ts';
import type { Config } from '../layer.ts';
import { toChannelsLast, type Shape, type Signal } from '../signal.ts';
import type { AddressBook } from './addresses.ts';
import type { NewArray } from './new-array.ts';
import { followOperation, followSizes } from './resize-layers.ts';

/** A recorded call of a layer. */
export interface RecordedCall {
  readonly layer: LayerConfig;
  readonly path: string;
  readonly inputs: readonly Signal[];
  readonly outputs: readonly Signal[];
}

interface LayerNeighbours {
  readonly inputs: readonly Shape[];
  readonly outputs: readonly Shape[];
  readonly changed: boolean;
}

export interface Sizes {
  readonly calls: readonly RecordedCall[];
  readonly book: AddressBook;
  readonly arrays: ReadonlyMap<string, NewArray>;
  /** Of the graph that lost channels. */
  readonly types: TypeTable;
}

/** @throws LatheError `unsupported-operator` naming a layer that cannot be made smaller. */
export function resizeTopology(model: Config, sizes: Sizes): Config {
  const changes: Changes = { layers: new Map(), inputs: new Map() };
  for (const call of sizes.calls) {
    // a shared layer: its calls agree, or the file is refused when it is read
    if (!changes.layers.has(call.layer.raw)) resizeLayer(call, sizes, changes);
  }
  return rewrite(model, changes) as Config;
}

interface Changes {
  /** By the serialized layer. */
  readonly layers: Map<unknown, Config>;
  /** Shapes that layers of nested models record of the model's inputs. */
  readonly inputs: Map<unknown, Shape>;
}

function resizeLayer(call: RecordedCall, { book, arrays, types }: Sizes, changes: Changes): void {
  const { layer } = call;
  const { raw, className, config } = layer;
  const around = neighboursOf(call, types);
  const places = book.layers.get(raw)?.places ?? [];
  const dims = places.map((place) => (arrays.get(place) ?? book.array(place)).dims);
  const shrunk = places.some((place, i) => dims[i]?.join() !== book.array(place).dims.join());
  if (!shrunk && !around.changed) return;
  if (isModelClass(className)) {
    for (const [own, shape] of inputsOf(layer, around.inputs)) changes.inputs.set(own, shape);
    changes.layers.set(raw, {
      ...rebuilt(raw, around.inputs),
      config: Array.isArray(config) ? config : withShapes(config, itemOf(around.inputs, 0, 'the list of inputs')),
    });
  } else if (isOperation(layer)) {
    changes.layers.set(raw, { ...raw, config: followOperation(className, config, around.outputs) });
  } else if (!isFunction(layer)) {
    const settings = followSizes(className, { config, arrays: shrunk || !hasInner(config) ? dims : [], ...around });
    changes.layers.set(raw, { ...rebuilt(raw, around.inputs), config: settings });
  }
}

/** A function of TensorFlow's that Keras 2 wrapped into a layer. */
const isFunction = ({ className }: LayerConfig): boolean =>
  className === 'TFOpLambda' || className === 'SlicingOpLambda';

/** Whether the layer wraps another, which is visited only where its arrays shrink. */
const hasInner = (config: Config): boolean => 'layer' in config || 'cell' in config;

function neighboursOf({ inputs, outputs }: RecordedCall, types: TypeTable): LayerNeighbours {
  const after = (signals: readonly Signal[]): Shape[] => signals.map((signal) => shapeNow(signal, types));
  const [newInputs, newOutputs] = [after(inputs), after(outputs)];
  const differs = (signals: readonly Signal[], shapes: readonly Shape[]): boolean =>
    signals.some(({ shape }, i) => shape.join() !== shapes[i]?.join());
  return {
    inputs: newInputs,
    outputs: newOutputs,
    changed: differs(inputs, newInputs) || differs(outputs, newOutputs),
  };
}

/** In Keras's order; sizes that Keras leaves open stay so. */
export function shapeNow({ value, shape, channelsFirst }: Signal, types: TypeTable): Shape {
  const inferred = types.typeOf(value)?.shape;
  if (inferred?.length !== shape.length) return shape;
  const ordered = channelsFirst ? toChannelsLast(shape.length).map((axis) => inferred[axis]) : inferred;
  return shape.map((size, i) => (size !== null && typeof ordered[i] === 'number' ? ordered[i] : size));
}

/** Keras rebuilds a layer from its inputs where no sizes are recorded. */
function rebuilt(raw: Config, inputs: readonly Shape[]): Config {
  const { build_config: recorded, ...rest } = raw as { build_config?: Config };
  return inputs.length === 1 && Array.isArray(recorded?.['input_shape'])
    ? { ...rest, build_config: { ...recorded, input_shape: inputs[0] } }
    : rest;
}

/**
 * The layers in which a nested model records the shapes of its inputs: its input layers, or the first layer of a
 * Sequential one.
 */
function inputsOf({ className, config }: LayerConfig, inputs: readonly Shape[]): (readonly [Config, Shape])[] {
  const layers = (Array.isArray(config) ? config : config['layers']) as Config[];
  const names = inputNames(config['input_layers']);
  return layers.flatMap((raw, i) => {
    const at = className === 'Sequential' ? (i === 0 ? 0 : -1) : names.indexOf(layerConfig(raw).name);
    return inputs[at] ? [[raw, inputs[at]] as const] : [];
  });
}

/** [["name", 0, 0], ...] or one bare ["name", 0, 0]. */
function inputNames(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return typeof value[0] === 'string' ? [value[0]] : value.map((one) => String((one as unknown[])[0]));
}

/** The same tree with some objects replaced, inside replacements too. */
function rewrite(value: unknown, changes: Changes): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => rewrite(item, changes));
  const shape = changes.inputs.get(value);
  const own = changes.layers.get(value) ?? (value as Config);
  return Object.fromEntries(
    Object.entries(shape ? withInput(own, shape) : own).map(([key, item]) => [key, rewrite(item, changes)]),
  );
}

function withInput({ build_config: _sizes, ...layer }: Config, shape: Shape): Config {
  return { ...layer, config: withShapes(layer['config'] as Config, shape) };
}

const RECORDS = ['batch_shape', 'batch_input_shape', 'build_input_shape'];

const withShapes = (config: Config, shape: Shape): Config => ({
  ...config,
  ...Object.fromEntries(RECORDS.filter((key) => Array.isArray(config[key])).map((key) => [key, shape])),
});
