/**
 * float32 tensors of the bytes of a file. A Float32Array must start at a multiple of four, and weights of a file seldom
 * do: each would first be copied, and the copies stay until the garbage collector comes. TensorFlow takes bytes at any
 * address; their type is set afterwards.
 */
import { engine } from '../engine.ts';
import type { TfTensor } from '../tf.ts';
import { tensorflow } from './binding.ts';

/** Whether the engine has `tensorOfBytes`. A GPU copies all weights to its own memory anyway. */
export function takesBytes(): boolean {
  return engine().native && !engine().gpu;
}

/**
 * The tensor of these little-endian numbers, four bytes each, on the device at once. TensorFlow may read the bytes as
 * long as the tensor lives.
 */
export function tensorOfBytes(bytes: Uint8Array, dims: readonly number[]): TfTensor {
  const backend = tensorflow();
  const { binding } = backend;
  const attributes = [
    { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_UINT8 },
    { name: 'type', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT },
  ];
  const id = binding.createTensor([...dims, Float32Array.BYTES_PER_ELEMENT], binding.TF_UINT8, bytes);
  try {
    const [tensor] = binding.executeOp('Bitcast', attributes, [id], 1);
    return backend.createOutputTensor(tensor!);
  } finally {
    binding.deleteTensor(id);
  }
}
