/**
 * A Keras topology with its arrays -> ONNX. Nothing in the file is ever evaluated: layers are looked up in a table,
 * others are refused.
 */
import { existing, itemOf } from '../../ir/checked-access.ts';
import { LatheError } from '../../../errors.ts';
import type { DataType, Model } from '../../ir/types.ts';
import { GraphBuilder } from '../graph-builder.ts';
import { readArgument } from './argument.ts';
import {
  isModelClass,
  isOperation,
  layerConfig,
  modelConfig,
  plainClassName,
  type Call,
  type LayerConfig,
  type ModelConfig,
  type TensorRef,
} from './config.ts';
import { UnsupportedLayer, type Config, type KerasRuntime, type LayerContext, type WeightArray } from './layer.ts';
import { KERAS_LAYERS } from './layers.ts';
import { MASK_PASSING, Masks, TAKES_INTEGERS } from './masks.ts';
import { KERAS_OPERATIONS } from './operations.ts';
import { TF_FUNCTIONS } from './operations/tensorflow.ts';
import { AS_STORED, type ReadOptions } from './read-options.ts';
import { REFUSED_LAYERS } from './refused.ts';
import { cast, plain, plainSignal, typeOf, type Shape, type Signal } from './signal.ts';
import type { WeightSource } from './weights.ts';

interface Conversion {
  readonly b: GraphBuilder;
  readonly kerasMajor: number;
  readonly masks: Masks;
  readonly runtime: KerasRuntime;
  /** Names of the enclosing models, each with a slash: distinguishes layers of one name in different models. */
  readonly path: string;
  readonly reading: ReadOptions;
}

export interface KerasSource {
  readonly weights: (layers: readonly LayerConfig[]) => WeightSource;
  readonly kerasMajor: number;
  readonly runtime?: KerasRuntime;
  readonly reading?: ReadOptions;
}

/**
 * Converts a serialized model. Inputs and outputs keep Keras's order of axes.
 * @throws LatheError `unsupported-operator` naming the layer, or `malformed-model`.
 */
export function convertKeras(
  raw: Config,
  { weights, kerasMajor, runtime = 'keras', reading = AS_STORED }: KerasSource,
): Model {
  const b = new GraphBuilder();
  const config = parse(() => modelConfig(reading.topology(raw)));
  const conversion: Conversion = { b, kerasMajor, masks: new Masks(), runtime, path: '', reading };
  const inputs = config.inputs.map(({ layer }) => graphInput(b, config, layer));
  const names = outputNames(config.outputs);
  b.reserve(names);
  const outputs = convertModel(conversion, config, inputs, reading.weights(weights(config.layers)));
  outputs.forEach((signal, i) =>
    b.output(itemOf(names, i, 'the list of output names'), plain(b, signal), typeOf(signal), openBatch(signal.shape)),
  );
  return b.build(config.name, `Keras ${kerasMajor}`);
}

const parse = <T>(read: () => T): T => {
  try {
    return read();
  } catch (error) {
    throw error instanceof LatheError
      ? error
      : new LatheError('malformed-model', `Keras configuration: ${(error as Error).message}`, [], { cause: error });
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

const openBatch = (shape: Shape): (number | string | null)[] =>
  shape.map((size, axis) => size ?? (axis === 0 ? 'batch' : null));

const INPUT_TYPES: Readonly<Record<string, DataType>> = {
  float16: 'float32',
  bfloat16: 'float32',
  float32: 'float32',
  float64: 'float32',
  int32: 'int32',
  int64: 'int64',
  uint8: 'uint8',
  bool: 'bool',
};

function graphInput(b: GraphBuilder, model: ModelConfig, name: string): Signal {
  const layer = model.layers.find((candidate) => candidate.name === name);
  if (!layer)
    throw new LatheError(
      'malformed-model',
      `Keras configuration: the input layer "${name}" is not in the list of layers`,
    );
  const shape = (layer.config['batch_shape'] ?? layer.config['batch_input_shape']) as Shape | undefined;
  if (!Array.isArray(shape))
    throw new LatheError('malformed-model', `layer "${name}" (InputLayer): has no shape`, [
      { path: name, message: 'has no shape' },
    ]);
  const dtype = INPUT_TYPES[dtypeName(layer.config['dtype'])];
  if (!dtype)
    throw new LatheError(
      'unsupported-operator',
      `layer "${name}" (InputLayer): inputs of type ${dtypeName(layer.config['dtype'])} have no ONNX form`,
      [{ path: name, message: 'input type' }],
    );
  return plainSignal(b.input(name, dtype, openBatch(shape)), shape, dtype);
}

const dtypeName = (value: unknown): string =>
  typeof value === 'object' && value !== null
    ? String((value as { config?: { name?: string } }).config?.name)
    : String(value ?? 'float32');

/**
 * Converts calls as soon as their inputs are there; shared layers are converted once per call, with the same arrays.
 */
function convertModel(
  conversion: Conversion,
  model: ModelConfig,
  inputs: readonly Signal[],
  weights: WeightSource,
): Signal[] {
  const done = new Map<string, readonly Signal[]>();
  model.inputs.forEach(({ layer }, i) => done.set(`${layer}/0`, [itemOf(inputs, i, 'the list of inputs')]));
  const find = ({ layer, node, tensor }: TensorRef): Signal | undefined => done.get(`${layer}/${node}`)?.[tensor];
  let pending = model.layers
    .flatMap((layer) => layer.calls.map((call, node) => ({ layer, call, key: `${layer.name}/${node}` })))
    .filter(({ key }) => !done.has(key));
  while (pending.length > 0) {
    const waiting = pending.filter(({ layer, call, key }) => {
      const ready = [...call.inputs, ...[...call.keywords.values()].flat()].every((ref) => find(ref));
      if (ready) done.set(key, convertCall(conversion, { layer, call, find, weights }));
      return !ready;
    });
    const [stuck] = waiting;
    if (stuck && waiting.length === pending.length) {
      const { layer } = stuck;
      throw new LatheError(
        'malformed-model',
        `layer "${layer.name}" (${layer.className}): its inputs come from no layer, or depend on its own output`,
        [{ path: layer.name, message: 'inputs missing or cyclic' }],
      );
    }
    pending = waiting;
  }
  return model.outputs.map((ref) => {
    const signal = find(ref);
    if (!signal) throw new LatheError('malformed-model', `Keras configuration: no layer has the output "${ref.layer}"`);
    return signal;
  });
}

/** A call of a layer, and what it is converted with. */
interface PlacedCall {
  readonly layer: LayerConfig;
  readonly call: Call;
  /** The tensors that are there already. */
  find(ref: TensorRef): Signal | undefined;
  readonly weights: WeightSource;
}

function convertCall(conversion: Conversion, placed: PlacedCall): readonly Signal[] {
  const { layer, call, find } = placed;
  const known = (ref: TensorRef): Signal => existing(find(ref), `output ${ref.tensor} of layer "${ref.layer}"`);
  const inputs = call.inputs.map(known);
  const keywords = new Map([...call.keywords].map(([key, refs]) => [key, refs.map(known)] as const));
  const outputs = convertTo(conversion, placed, { inputs, keywords });
  conversion.reading.called(layer, conversion.path, [...inputs, ...[...keywords.values()].flat()], outputs);
  return outputs;
}

interface Given {
  readonly inputs: readonly Signal[];
  readonly keywords: ReadonlyMap<string, readonly Signal[]>;
}

function convertTo(
  conversion: Conversion,
  { layer, call, find, weights }: PlacedCall,
  { inputs, keywords }: Given,
): readonly Signal[] {
  if (isModelClass(layer.className)) {
    const nested = parse(() => modelConfig(layer.raw));
    const given = inputs.length > 0 ? inputs : [...keywords.values()].flat();
    if (given.length !== nested.inputs.length)
      throw unsupported(layer, `it is given ${given.length} tensors where it has ${nested.inputs.length} inputs`);
    return convertModel(
      { ...conversion, path: `${conversion.path}${layer.name}/` },
      nested,
      given,
      weights.nested(layer),
    );
  }
  if (isOperation(layer) || layer.className === 'TFOpLambda' || layer.className === 'SlicingOpLambda')
    return convertOperation(conversion, layer, call, find);
  return conversion.b.layer(conversion.path + layer.name, () =>
    convertLayer(conversion, layer, {
      inputs,
      arrays: locate(layer, () => weights.arrays(layer)),
      keywords,
      callArguments: call.arguments,
      weights,
    }),
  );
}

/** A function of keras.ops (Keras 3), or one of TensorFlow's that Keras 2 wrapped into a layer. */
function convertOperation(
  { b, kerasMajor }: Conversion,
  layer: LayerConfig,
  call: Call,
  find: (ref: TensorRef) => Signal | undefined,
): readonly Signal[] {
  const [table, name] = isOperation(layer)
    ? [KERAS_OPERATIONS, layer.className]
    : [TF_FUNCTIONS, String(layer.config['function'])];
  const operation = table.get(name);
  if (!operation) throw unsupported(layer, `the operation "${name}" has no conversion to ONNX`);
  return locate(layer, () => {
    const args = call.args.map((value) => readArgument(value, find));
    const named = Object.entries({ ...layer.config, ...call.kwargs }).filter(
      ([key]) => key !== 'name' && key !== 'function' && key !== 'trainable' && key !== 'dtype_policy',
    );
    const kwargs = new Map(
      named.map(
        ([key, value]) =>
          [key, key === 'dtype' && typeof value === 'object' ? null : readArgument(value, find)] as const,
      ),
    );
    return [operation({ b, kerasMajor, name: layer.name, args, kwargs })].flat();
  });
}

interface LayerInput extends Given {
  readonly arrays: readonly WeightArray[];
  readonly callArguments: Config;
  /** `null` within a wrapper. */
  readonly weights: WeightSource | null;
}

function convertLayer(conversion: Conversion, layer: LayerConfig, given: LayerInput): Signal[] {
  const className = plainClassName(layer.className);
  const converter = KERAS_LAYERS.get(className);
  if (!converter) throw unsupported(layer, refusal(layer));
  const { masks } = conversion;
  return locate(layer, () => {
    refuseQuantized(layer.config);
    const context = contextOf(conversion, layer, given);
    const outputs = [converter(context)].flat();
    if (MASK_PASSING.has(className) && outputs[0] && masks.of(outputs[0]) === null)
      masks.set(outputs[0], context.masks[0] ?? null);
    return outputs;
  });
}

function contextOf(conversion: Conversion, layer: LayerConfig, given: LayerInput): LayerContext {
  const { masks } = conversion;
  const { keywords, callArguments, arrays, weights } = given;
  const className = plainClassName(layer.className);
  const inputs = given.inputs.map((signal) => (TAKES_INTEGERS.has(className) ? signal : floating(conversion, signal)));
  return {
    ...conversion,
    className,
    name: layer.name,
    config: layer.config,
    inputs,
    keywords,
    callArguments,
    weights: arrays,
    masks: inputMasks(conversion, inputs, keywords.get('mask')),
    maskOf: (signal) => masks.of(signal),
    setMask: (signal, mask) => masks.set(signal, mask),
    inner: (raw, innerInputs, innerArrays, attribute) => {
      const inner = { inputs: innerInputs, arrays: innerArrays, attribute, weights };
      return convertInner(conversion, layer, layerConfig(raw), inner);
    },
  };
}

/** Masks given as an argument go before those that the inputs carry. */
function inputMasks(
  { b, masks }: Conversion,
  inputs: readonly Signal[],
  explicit: readonly Signal[] | undefined,
): (string | null)[] {
  return explicit ? explicit.map((mask) => cast(b, mask, 'bool').value) : inputs.map((signal) => masks.of(signal));
}

interface InnerInput {
  readonly inputs: readonly Signal[];
  readonly arrays: readonly WeightArray[];
  /** Of the wrapper, that holds the inner layer. */
  readonly attribute: string;
  readonly weights: WeightSource | null;
}

/** The content of a wrapper: a layer with its arrays, or a model with arrays of its own. */
function convertInner(
  conversion: Conversion,
  wrapper: LayerConfig,
  inner: LayerConfig,
  { inputs, arrays, attribute, weights }: InnerInput,
): Signal[] {
  if (!isModelClass(inner.className)) {
    const named = { ...inner, name: `${wrapper.name}/${inner.name}` };
    return convertLayer(conversion, named, { inputs, arrays, keywords: new Map(), callArguments: {}, weights: null });
  }
  if (!weights) throw new UnsupportedLayer('a model within a wrapper within a wrapper is not supported');
  const outputs = convertModel(
    { ...conversion, path: `${conversion.path}${wrapper.name}/` },
    parse(() => modelConfig(inner.raw)),
    inputs,
    weights.wrapped(wrapper, attribute, inner),
  );
  conversion.reading.called(inner, conversion.path, inputs, outputs);
  return outputs;
}

/** Floats as they are; other numbers as floats, with their mask. */
function floating({ b, masks }: Conversion, signal: Signal): Signal {
  const result = cast(b, signal, 'float32');
  if (result !== signal) masks.set(result, masks.of(signal));
  return result;
}

/** Integer weights of Keras's own quantization come with scales and rounded activations that no float layer repeats. */
function refuseQuantized(config: Config): void {
  const policy = dtypeName(config['dtype']);
  const className = String((config['dtype'] as Config | undefined)?.['class_name'] ?? '');
  const mode = /^(int8|int4|float8|gptq|awq)/.exec(
    String(((config['dtype'] as Config | undefined)?.['config'] as Config | undefined)?.['mode'] ?? policy),
  );
  if (mode || /Quantized|GPTQ|AWQ|Float8/.test(className))
    throw new UnsupportedLayer(
      `already-quantized: Keras has quantized it (${mode?.[1] ?? className}); ` +
        'upload the model from before model.quantize()',
    );
}

function refusal({ className, raw }: LayerConfig): string {
  const module = raw['module'];
  const known = REFUSED_LAYERS.get(plainClassName(className));
  if (known && (className === 'Lambda' || typeof module !== 'string' || module.startsWith('keras'))) return known;
  if (typeof module === 'string' && !module.startsWith('keras'))
    return `it is a custom object of "${module}", whose code is not in the file`;
  if (className.includes('>')) return 'it is a custom object, whose code is not in the file';
  return 'this layer has no conversion to ONNX';
}

const unsupported = ({ name, className }: LayerConfig, reason: string): LatheError =>
  new LatheError('unsupported-operator', `layer "${name}" (${className}): ${reason}`, [
    { path: name, message: reason },
  ]);

/** Errors of a converter, with the layer they concern. */
function locate<T>(layer: LayerConfig, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof LatheError) throw error;
    if (error instanceof UnsupportedLayer) throw unsupported(layer, error.message);
    const message = error instanceof Error ? error.message : String(error);
    throw new LatheError(
      'malformed-model',
      `layer "${layer.name}" (${layer.className}): ${message}`,
      [{ path: layer.name, message }],
      { cause: error },
    );
  }
}
