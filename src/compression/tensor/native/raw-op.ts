/** Calls of TensorFlow's own operations by name, their attributes written as plain values. */
import { engine } from '../engine.ts';
import { tensorflow } from './binding.ts';
import type { OpAttribute } from './binding.ts';
import type { TfTensor } from '../tf.ts';

export type AttributeValue =
  | { readonly type: 'float32' | 'int32' | 'bool' }
  | { readonly int: number | readonly number[] }
  | { readonly float: number }
  | { readonly bool: boolean }
  | { readonly string: string };

/** The engine's own operations (native/ at the root) exist for the CPU only. */
export function hasOwnKernels(): boolean {
  return engine().native && !engine().gpu;
}

/** One output. @throws Error TensorFlow's own message where shapes or attributes do not fit */
export function rawOp(
  name: string,
  inputs: readonly TfTensor[],
  attributes: Readonly<Record<string, AttributeValue>>,
): TfTensor {
  return tensorflow().executeSingleOutput(name, encode(attributes), inputs);
}

/** Tensors by their number, for operations of that many outputs. */
interface Tensors {
  readonly 2: [TfTensor, TfTensor];
  readonly 3: [TfTensor, TfTensor, TfTensor];
  readonly 4: [TfTensor, TfTensor, TfTensor, TfTensor];
  readonly 5: [TfTensor, TfTensor, TfTensor, TfTensor, TfTensor];
  readonly 6: [TfTensor, TfTensor, TfTensor, TfTensor, TfTensor, TfTensor];
}

/** All outputs. @throws Error TensorFlow's own message where shapes or attributes do not fit */
export function rawOps<Count extends keyof Tensors>(
  name: string,
  inputs: readonly TfTensor[],
  attributes: Readonly<Record<string, AttributeValue>>,
  outputs: Count,
): Tensors[Count] {
  return tensorflow().executeMultipleOutputs(name, encode(attributes), inputs, outputs) as Tensors[Count];
}

/** As many outputs as inputs, for operations on lists. */
export function rawListOp(
  name: string,
  inputs: readonly TfTensor[],
  attributes: Readonly<Record<string, AttributeValue>>,
): TfTensor[] {
  return tensorflow().executeMultipleOutputs(name, encode(attributes), inputs, inputs.length);
}

function encode(attributes: Readonly<Record<string, AttributeValue>>): OpAttribute[] {
  return Object.entries(attributes).map(([name, value]) => ({ name, ...encodeValue(value) }));
}

function encodeValue(value: AttributeValue): { type: number; value: unknown } {
  const { binding } = tensorflow();
  if ('type' in value) {
    const types = { float32: binding.TF_FLOAT, int32: binding.TF_INT32, bool: binding.TF_BOOL };
    return { type: binding.TF_ATTR_TYPE, value: types[value.type] };
  }
  if ('int' in value) return { type: binding.TF_ATTR_INT, value: value.int };
  if ('float' in value) return { type: binding.TF_ATTR_FLOAT, value: value.float };
  if ('bool' in value) return { type: binding.TF_ATTR_BOOL, value: value.bool };
  return { type: binding.TF_ATTR_STRING, value: value.string };
}
