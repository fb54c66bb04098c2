/** A Keras topology with its arrays -> ONNX. Nothing in the file is ever evaluated: layers are looked up in a table, others are refused. */
import { LatheError } from '../../../errors.ts';
import type { DataType, Model } from '../../graph/types.ts';
import { GraphBuilder } from '../graph-builder.ts';
import { isModelClass, layerConfig, modelConfig, type Call, type LayerConfig, type ModelConfig, type TensorRef } from './config.ts';
import { UnsupportedLayer, type Config, type KerasRuntime, type WeightArray } from './layer.ts';
import { KERAS_LAYERS } from './layers.ts';
import { plain, plainSignal, type Shape, type Signal } from './signal.ts';
import type { WeightSource } from './weights.ts';

interface Conversion {
  readonly b: GraphBuilder;
  readonly kerasMajor: number;
  readonly runtime: KerasRuntime;
  /** Names of the models around, each with a slash: tells layers of one name in different models apart. */
  readonly path: string;
}

/**
 * Converts a serialized model. Inputs and outputs keep Keras's order of axes.
 * @throws LatheError `unsupported-operator` naming the layer, or `malformed-model`.
 */
export function convertKeras(raw: Config, weights: (layers: readonly LayerConfig[]) => WeightSource, kerasMajor: number, runtime: KerasRuntime = 'keras'): Model {
  const b = new GraphBuilder();
  const config = parse(() => modelConfig(raw));
  const conversion: Conversion = { b, kerasMajor, runtime, path: '' };
  const inputs = config.inputs.map(({ layer }) => graphInput(b, config, layer));
  const names = outputNames(config.outputs);
  b.reserve(names);
  const outputs = convertModel(conversion, config, inputs, weights(config.layers));
  outputs.forEach((signal, i) => b.output(names[i]!, plain(b, signal), 'float32', openBatch(signal.shape)));
  return b.build(config.name, `Keras ${kerasMajor}`);
}

const parse = <T>(read: () => T): T => {
  try {
    return read();
  } catch (error) {
    throw error instanceof LatheError ? error : new LatheError('malformed-model', `Keras configuration: ${(error as Error).message}`, [], { cause: error });
  }
};

function outputNames(outputs: readonly TensorRef[]): string[] {
  const seen = new Map<string, number>();
  return outputs.map(({ layer }) => {
    const count = seen.get(layer) ?? 0;
    seen.set(layer, count + 1);
    return count === 0 ? layer : `${layer}_${count}`;
  });
}

const openBatch = (shape: Shape): (number | string | null)[] => shape.map((size, axis) => size ?? (axis === 0 ? 'batch' : null));

const INPUT_TYPES: Readonly<Record<string, DataType>> = { float16: 'float32', bfloat16: 'float32', float32: 'float32', float64: 'float32', int32: 'int32', int64: 'int64', uint8: 'uint8', bool: 'bool' };

function graphInput(b: GraphBuilder, model: ModelConfig, name: string): Signal {
  const layer = model.layers.find((candidate) => candidate.name === name);
  if (!layer) throw new LatheError('malformed-model', `Keras configuration: the input layer "${name}" is not in the list of layers`);
  const shape = (layer.config['batch_shape'] ?? layer.config['batch_input_shape']) as Shape | undefined;
  if (!Array.isArray(shape)) throw new LatheError('malformed-model', `layer "${name}" (InputLayer): has no shape`, [{ path: name, message: 'has no shape' }]);
  const dtype = INPUT_TYPES[dtypeName(layer.config['dtype'])];
  if (!dtype) throw new LatheError('unsupported-operator', `layer "${name}" (InputLayer): inputs of type ${dtypeName(layer.config['dtype'])} have no ONNX form`, [{ path: name, message: 'input type' }]);
  return plainSignal(b.input(name, dtype, openBatch(shape)), shape);
}

const dtypeName = (value: unknown): string => (typeof value === 'object' && value !== null ? String((value as { config?: { name?: string } }).config?.name) : String(value ?? 'float32'));

/** Converts calls as soon as their inputs are there; shared layers are converted once per call, with the same arrays. */
function convertModel(conversion: Conversion, model: ModelConfig, inputs: readonly Signal[], weights: WeightSource): Signal[] {
  const done = new Map<string, readonly Signal[]>();
  model.inputs.forEach(({ layer }, i) => done.set(`${layer}/0`, [inputs[i]!]));
  const find = ({ layer, node, tensor }: TensorRef): Signal | undefined => done.get(`${layer}/${node}`)?.[tensor];
  let pending = model.layers.flatMap((layer) => layer.calls.map((call, node) => ({ layer, call, key: `${layer.name}/${node}` }))).filter(({ key }) => !done.has(key));
  while (pending.length > 0) {
    const waiting = pending.filter(({ layer, call, key }) => {
      const ready = [...call.inputs, ...call.keywords.values()].every((ref) => find(ref));
      if (ready) done.set(key, convertCall(conversion, layer, call, find, weights));
      return !ready;
    });
    if (waiting.length === pending.length) {
      const { layer } = waiting[0]!;
      throw new LatheError('malformed-model', `layer "${layer.name}" (${layer.className}): its inputs come from no layer, or from itself`, [{ path: layer.name, message: 'inputs missing or cyclic' }]);
    }
    pending = waiting;
  }
  return model.outputs.map((ref) => {
    const signal = find(ref);
    if (!signal) throw new LatheError('malformed-model', `Keras configuration: the output "${ref.layer}" is no layer's output`);
    return signal;
  });
}

function convertCall(conversion: Conversion, layer: LayerConfig, call: Call, find: (ref: TensorRef) => Signal | undefined, weights: WeightSource): readonly Signal[] {
  const inputs = call.inputs.map((ref) => find(ref)!);
  if (isModelClass(layer.className)) {
    const nested = parse(() => modelConfig(layer.raw));
    return convertModel({ ...conversion, path: `${conversion.path}${layer.name}/` }, nested, inputs, weights.nested(layer));
  }
  const keywords = new Map([...call.keywords].map(([key, ref]) => [key, find(ref)!] as const));
  return conversion.b.layer(conversion.path + layer.name, () => convertLayer(conversion, layer, inputs, locate(layer, () => weights.arrays(layer)), keywords, call.arguments));
}

function convertLayer(conversion: Conversion, layer: LayerConfig, inputs: readonly Signal[], arrays: readonly WeightArray[], keywords: ReadonlyMap<string, Signal>, callArguments: Config): Signal[] {
  const converter = KERAS_LAYERS.get(layer.className.split('>').at(-1)!);
  if (!converter) throw unsupported(layer, refusal(layer));
  return locate(layer, () => [converter({
    ...conversion, className: layer.className, name: layer.name, config: layer.config, inputs, keywords, callArguments, weights: arrays,
    inner: (raw, innerInputs, innerArrays) => {
      const inner = layerConfig(raw);
      return convertLayer(conversion, { ...inner, name: `${layer.name}/${inner.name}` }, innerInputs, innerArrays, new Map(), {});
    },
  })].flat());
}

function refusal({ className, raw }: LayerConfig): string {
  if (className === 'Lambda') return 'it holds Python code, which is never evaluated';
  const module = raw['module'];
  if (typeof module === 'string' && !module.startsWith('keras')) return `it is a custom object of "${module}", whose code is not in the file`;
  return 'this layer has no conversion to ONNX';
}

const unsupported = ({ name, className }: LayerConfig, reason: string): LatheError =>
  new LatheError('unsupported-operator', `layer "${name}" (${className}): ${reason}`, [{ path: name, message: reason }]);

/** Errors of a converter, with the layer they concern. */
function locate<T>(layer: LayerConfig, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof LatheError) throw error;
    if (error instanceof UnsupportedLayer) throw unsupported(layer, error.message);
    const message = error instanceof Error ? error.message : String(error);
    throw new LatheError('malformed-model', `layer "${layer.name}" (${layer.className}): ${message}`, [{ path: layer.name, message }], { cause: error });
  }
}
