/**
 * onnxruntime on the CPU: the only runtime whose figures are reported, since it runs the very file that the user
 * downloads.
 */
import { readFile } from 'node:fs/promises';
import * as ort from 'onnxruntime-node';
import { LatheError } from '../../errors.ts';
import type { HostArray } from '../data/dataset.ts';
import { decodeFloat16, encodeFloat16 } from '../ir/number-formats.ts';
import { isVersionRefusal, olderStamp } from './older-stamp.ts';

export const RUNTIME = `onnxruntime ${ort.env.versions.node ?? ort.env.versions.common}`;

/** A numeric output: row-major, 64-bit integers as float64. */
export interface RuntimeOutput {
  readonly dtype: string;
  readonly dims: readonly number[];
  readonly data:
    | Float32Array
    | Float64Array
    | Int8Array
    | Int16Array
    | Int32Array
    | Uint8Array
    | Uint16Array
    | Uint32Array;
}

/** An input or output as the file declares it. */
export interface RuntimeInput {
  readonly name: string;
  /** ONNX element type; 'none': no tensor. */
  readonly dtype: string;
  /** null: open (a symbol, nothing at all, or 0, as some exporters write it). */
  readonly shape: readonly (number | null)[];
}

export type Feeds = ReadonlyMap<string, HostArray>;

export interface Runtime {
  /** Opened as a model of older versions than the file says: the newest that this onnxruntime reads. */
  readonly isOlder: boolean;
  readonly inputs: readonly RuntimeInput[];
  readonly outputs: readonly RuntimeInput[];
  /** Of tensors: onnxruntime hands no sequences and maps to JavaScript, and fails a run that asks for them. */
  readonly outputNames: readonly string[];
  /**
   * Feeds are converted to the types the file asks for (float16 and float64 inputs from float32). Only tensors of
   * numbers come back.
   */
  run(feeds: Feeds, fetch?: readonly string[]): Promise<Map<string, RuntimeOutput>>;
  /** The feeds once converted, for runs that are timed: `execute` does nothing but call the runtime. */
  prepare(feeds: Feeds): PreparedRun;
  release(): Promise<void>;
}

export interface PreparedRun {
  execute(): Promise<void>;
}

export interface RuntimeOptions {
  /** Threads inside one operator; default 1. */
  readonly threads?: number;
  /** 'disabled' keeps every value of the graph available; default 'all'. */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all';
}

/** Opens a model, calls `use` and releases it. @throws as `openRuntime` */
export async function withRuntime<T>(model: Uint8Array, use: (runtime: Runtime) => Promise<T>): Promise<T> {
  const runtime = await openRuntime(model);
  try {
    return await use(runtime);
  } finally {
    await runtime.release();
  }
}

/**
 * Opens a model: its bytes, or the path of a file, which onnxruntime reads itself.
 * @throws LatheError `unsupported-operator` where onnxruntime has no kernel, `malformed-model` where it refuses the
 * model for another reason.
 */
export async function openRuntime(model: Uint8Array | string, options: RuntimeOptions = {}): Promise<Runtime> {
  const { session, isOlder } = await create(model, sessionOptions(options)).catch((error: unknown) => {
    throw refused(error);
  });
  return runtimeOf(session, isOlder);
}

function sessionOptions({ threads = 1, optimization = 'all' }: RuntimeOptions): ort.InferenceSession.SessionOptions {
  return {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: optimization,
    logSeverityLevel: 4,
    // Waiting threads sleep: spinning ones would take the cores from the other sessions of a comparison.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  };
}

function runtimeOf(session: ort.InferenceSession, isOlder: boolean): Runtime {
  const inputs = session.inputMetadata.map(describe);
  const tensors = session.outputMetadata.filter(({ isTensor }) => isTensor).map(({ name }) => name);
  const outputNames = tensors.length > 0 ? tensors : session.outputNames;
  return {
    isOlder,
    inputs,
    outputs: session.outputMetadata.map(describe),
    outputNames,
    async run(feeds, fetch = outputNames) {
      const results = await session.run(toTensors(feeds, inputs), [...fetch]).catch((error: unknown) => {
        throw refused(error);
      });
      return new Map(
        Object.entries(results).flatMap(([name, tensor]) => {
          const output = fromTensor(tensor);
          return output ? [[name, output] as const] : [];
        }),
      );
    },
    prepare(feeds) {
      const converted = toTensors(feeds, inputs);
      return {
        async execute() {
          await session.run(converted, outputNames);
        },
      };
    },
    release: () => session.release(),
  };
}

function toTensors(feeds: Feeds, inputs: readonly RuntimeInput[]): Record<string, ort.Tensor> {
  return Object.fromEntries(
    inputs.flatMap(({ name, dtype }) => {
      const feed = feeds.get(name);
      return feed ? [[name, toTensor(feed, dtype)] as const] : [];
    }),
  );
}

/**
 * Opens a model that is too new for this onnxruntime as one of the newest versions it reads. onnxruntime refuses opset
 * and IR version one after the other, hence two attempts.
 */
async function create(
  model: Uint8Array | string,
  settings: ort.InferenceSession.SessionOptions,
  attempts = 2,
): Promise<{ readonly session: ort.InferenceSession; readonly isOlder: boolean }> {
  try {
    const session = await (typeof model === 'string'
      ? ort.InferenceSession.create(model, settings)
      : ort.InferenceSession.create(model, settings));
    return { session, isOlder: false };
  } catch (error) {
    const older =
      attempts > 0 && isVersionRefusal(error as Error)
        ? olderStamp(typeof model === 'string' ? await readFile(model) : model, (error as Error).message)
        : null;
    if (!older) throw error;
    return { ...(await create(older, settings, attempts - 1)), isOlder: true };
  }
}

const describe = (meta: ort.InferenceSession.ValueMetadata): RuntimeInput => ({
  name: meta.name,
  dtype: meta.isTensor ? meta.type : 'none',
  shape: meta.isTensor ? meta.shape.map((size) => (typeof size === 'number' && size > 0 ? size : null)) : [],
});

/** onnxruntime's message without the path of a local file, which means nothing to the user. */
function refused(error: unknown): LatheError {
  const message = (error as Error).message.replace(/\n[^]*$/, '').replace(/Load model from .*? failed:\s*/, '');
  const missing = /NOT_IMPLEMENTED|Could not find an implementation|is not a registered function/.test(message);
  return new LatheError(
    missing ? 'unsupported-operator' : 'malformed-model',
    `onnxruntime refuses the model: ${message}`,
    [],
    { cause: error },
  );
}

type NumericArray = Float32Array | Int32Array | Uint8Array | BigInt64Array;

const numbers = (data: NumericArray): ArrayLike<number> =>
  data instanceof BigInt64Array ? Float64Array.from(data, Number) : data;

const TENSORS: Readonly<Record<string, (data: NumericArray, dims: readonly number[]) => ort.Tensor>> = {
  float32: (data, dims) =>
    new ort.Tensor('float32', data instanceof Float32Array ? data : Float32Array.from(numbers(data)), dims),
  float64: (data, dims) => new ort.Tensor('float64', Float64Array.from(numbers(data)), dims),
  float16: (data, dims) => new ort.Tensor('float16', encodeFloat16(Float64Array.from(numbers(data))), dims),
  int64: (data, dims) =>
    new ort.Tensor(
      'int64',
      data instanceof BigInt64Array
        ? data
        : BigInt64Array.from(data as Int32Array, (value) => BigInt(Math.trunc(value))),
      dims,
    ),
  uint64: (data, dims) =>
    new ort.Tensor(
      'uint64',
      BigUint64Array.from(numbers(data) as Float64Array, (value) => BigInt(Math.trunc(value))),
      dims,
    ),
  int32: (data, dims) => new ort.Tensor('int32', Int32Array.from(numbers(data)), dims),
  uint32: (data, dims) => new ort.Tensor('uint32', Uint32Array.from(numbers(data)), dims),
  int16: (data, dims) => new ort.Tensor('int16', Int16Array.from(numbers(data)), dims),
  uint16: (data, dims) => new ort.Tensor('uint16', Uint16Array.from(numbers(data)), dims),
  int8: (data, dims) => new ort.Tensor('int8', Int8Array.from(numbers(data)), dims),
  uint8: (data, dims) =>
    new ort.Tensor('uint8', data instanceof Uint8Array ? data : Uint8Array.from(numbers(data)), dims),
  bool: (data, dims) =>
    new ort.Tensor(
      'bool',
      data instanceof Uint8Array ? data : Uint8Array.from(numbers(data), (value) => (value ? 1 : 0)),
      dims,
    ),
};

function toTensor(array: HostArray, dtype: string): ort.Tensor {
  const make = TENSORS[dtype];
  if (!make)
    throw new LatheError(
      'unsupported-operator',
      `onnxruntime-node takes no inputs of type ${dtype}; export the model with an input of another type`,
    );
  return make(array.data, array.shape);
}

function fromTensor(tensor: ort.OnnxValue): RuntimeOutput | null {
  if (!(tensor instanceof ort.Tensor) || tensor.type === 'string') return null;
  const { dims, type } = tensor;
  const data = tensor.data as RuntimeOutput['data'] | BigInt64Array | BigUint64Array;
  if (type === 'float16')
    return {
      dtype: type,
      dims,
      data: decodeFloat16(new Uint16Array(data.buffer as ArrayBuffer, data.byteOffset, data.length)),
    };
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    return { dtype: type, dims, data: Float64Array.from(data as BigInt64Array, Number) };
  return { dtype: type, dims, data };
}
