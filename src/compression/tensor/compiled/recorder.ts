/**
 * Records a function's calls of TensorFlow: the operations executed and the tensors made from JavaScript values, by
 * handle. The function runs as usual meanwhile.
 */
import type { Binding, OpAttribute, TensorMetadata, TensorflowBackend } from '../native/binding.ts';

export interface RecordedOp {
  readonly name: string;
  readonly attributes: readonly OpAttribute[];
  readonly inputs: readonly number[];
  readonly outputs: readonly TensorMetadata[];
}

/** A tensor made from JavaScript values while recording: a constant of the step. */
export interface RecordedConstant {
  readonly shape: readonly number[];
  /** TF_DataType */
  readonly dtype: number;
  readonly bytes: Uint8Array;
}

export interface Recording {
  readonly ops: readonly RecordedOp[];
  readonly constants: ReadonlyMap<number, RecordedConstant>;
  /** Values of a tensor that is not constant were read: the step may depend on them. */
  readonly readsValues: boolean;
}

let recording = false;

/** Whether a step is being recorded: reading the values of a tensor now makes it impossible to compile. */
export function isRecording(): boolean {
  return recording;
}

export function record<R>(backend: TensorflowBackend, run: () => R): { result: R; recording: Recording } {
  const real = backend.binding;
  const ops: RecordedOp[] = [];
  const constants = new Map<number, RecordedConstant>();
  let readsValues = false;
  const overrides: Partial<Binding> = {
    executeOp(name, attributes, inputs, outputs) {
      const results = real.executeOp(name, attributes, inputs, outputs);
      ops.push({ name, attributes: attributes.filter((each) => each != null), inputs: [...inputs], outputs: results });
      return results;
    },
    createTensor(shape, dtype, values) {
      const id = real.createTensor(shape, dtype, values);
      if (ArrayBuffer.isView(values)) constants.set(id, { shape: [...shape], dtype, bytes: copyBytes(values) });
      return id;
    },
    tensorDataSync(id) {
      if (!constants.has(id)) readsValues = true;
      return real.tensorDataSync(id);
    },
  };
  recording = true;
  backend.binding = intercept(real, overrides);
  try {
    return {
      result: run(),
      recording: {
        ops,
        constants,
        get readsValues() {
          return readsValues;
        },
      },
    };
  } finally {
    backend.binding = real;
    recording = false;
  }
}

/** The addon's properties cannot be replaced: a proxy of an empty object stands before them. */
function intercept(real: Binding, overrides: Partial<Binding>): Binding {
  return new Proxy({} as Binding, {
    get: (_, key) => {
      const name = key as keyof Binding;
      const value: unknown = overrides[name] ?? real[name];
      return typeof value === 'function' && !(name in overrides)
        ? (value as (...args: never) => unknown).bind(real)
        : value;
    },
  });
}

function copyBytes(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
}
