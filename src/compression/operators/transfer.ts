/** Transfer between host and device: which tfjs type holds an ONNX type, and which values do not fit. */
import { LatheError } from '../../errors.ts';
import { allocate, byteLength, hostNumbers, isFloat, toHost } from '../ir/tensor-data.ts';
import type { DataType, Tensor } from '../ir/types.ts';
import { takesBytes, tensorOfBytes } from '../tensor/native/bytes.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import type { HostData, HostTensor } from '../ir/host-tensor.ts';

type TfType = 'float32' | 'int32' | 'bool';

/** Host data -> device. @throws LatheError `unsupported-operator` for strings and numbers beyond 32 bits. */
export function upload(host: HostTensor): TfTensor {
  const type = deviceType(host.dtype);
  const dims = [...host.dims];
  const { data } = host;
  if (type === 'float32') return tf.tensor(data instanceof Float32Array ? data : float32s(host), dims, type);
  if (type === 'bool') return tf.tensor(data as Uint8Array, dims, type);
  return tf.tensor(data instanceof Int32Array ? data : int32s(host), dims, type);
}

/**
 * A constant -> device, without a copy of its values on the host where the engine takes the bytes as they lie in the
 * file. @throws as `upload`
 */
export function uploadConstant(tensor: Tensor): TfTensor {
  const whole = tensor.bytes.byteLength === byteLength(tensor.dtype, tensor.dims);
  if (tensor.dtype === 'float32' && whole && tensor.bytes.byteLength > 0 && takesBytes())
    return tensorOfBytes(tensor.bytes, tensor.dims);
  return upload(toHost(tensor));
}

function float32s(host: HostTensor): Float32Array {
  const exact = hostNumbers(host);
  const values = Float32Array.from(exact);
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i]) || !Number.isFinite(exact[i])) continue;
    throw new LatheError(
      'unsupported-operator',
      `${host.dtype} value ${exact[i]} is beyond the range of float32, in which the engine computes`,
    );
  }
  return values;
}

function int32s(host: HostTensor): Int32Array {
  const values = Int32Array.from(hostNumbers(host));
  const exact = host.data as ArrayLike<number | bigint>;
  for (let i = 0; i < values.length; i++) {
    if (Number(exact[i]!) === values[i]) continue;
    throw new LatheError(
      'unsupported-operator',
      `${host.dtype} value ${exact[i]} is beyond the 32 bits that the engine's tensors hold`,
    );
  }
  return values;
}

/** Device -> host data of an ONNX type. Blocks. */
export function download(tensor: TfTensor, dtype: DataType): HostTensor {
  const source = tensor.dataSync<'float32' | 'int32' | 'bool'>();
  return { dtype, dims: tensor.shape, data: convert(source, dtype) };
}

function convert(source: Float32Array | Int32Array | Uint8Array, dtype: DataType): HostData {
  const target = allocate(dtype, source.length);
  if (target.constructor === source.constructor) return source;
  if (target instanceof BigInt64Array || target instanceof BigUint64Array)
    for (let i = 0; i < source.length; i++) target[i] = BigInt(source[i]!);
  else target.set(source);
  return target;
}

/** The tfjs type that holds an ONNX type on the device. */
export function deviceType(dtype: DataType): TfType {
  if (isFloat(dtype)) return 'float32';
  if (dtype === 'bool') return 'bool';
  if (dtype === 'string' || dtype === 'undefined' || dtype === 'complex64' || dtype === 'complex128')
    throw new LatheError('unsupported-operator', `The device cannot compute with values of type ${dtype}`);
  return 'int32';
}
