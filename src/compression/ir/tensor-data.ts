/**
 * Constant tensors (bytes in ONNX `raw_data` form) <-> host tensors (typed arrays holding exact values).
 */
import { LatheError } from '../../errors.ts';
import type { HostData, HostTensor } from './host-tensor.ts';
import {
  decodeBfloat16,
  decodeFloat,
  decodeFloat16,
  encodeBfloat16,
  encodeFloat,
  encodeFloat16,
  type SmallFloat,
} from './number-formats.ts';
import { malformed, printable } from './graph-error.ts';
import type { DataType, Tensor } from './types.ts';

/** Bits of one element in `raw_data`; 0 for types that have none (strings, undefined). */
export const BITS: Readonly<Record<DataType, number>> = {
  undefined: 0,
  string: 0,
  bool: 8,
  uint8: 8,
  int8: 8,
  uint16: 16,
  int16: 16,
  uint32: 32,
  int32: 32,
  uint64: 64,
  int64: 64,
  float16: 16,
  bfloat16: 16,
  float32: 32,
  float64: 64,
  complex64: 64,
  complex128: 128,
  float8e4m3fn: 8,
  float8e4m3fnuz: 8,
  float8e5m2: 8,
  float8e5m2fnuz: 8,
  float8e8m0: 8,
  float6e2m3: 6,
  float6e3m2: 6,
  float4e2m1: 4,
  uint4: 4,
  int4: 4,
  uint2: 2,
  int2: 2,
};

const FLOATS: ReadonlySet<DataType> = new Set<DataType>([
  'float32',
  'float16',
  'float64',
  'bfloat16',
  'float8e4m3fn',
  'float8e4m3fnuz',
  'float8e5m2',
  'float8e5m2fnuz',
  'float6e2m3',
  'float6e3m2',
  'float4e2m1',
  'float8e8m0',
]);

/** True for real floating-point types of any width. */
export function isFloat(dtype: DataType): boolean {
  return FLOATS.has(dtype);
}

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  let count = 1;
  for (const dim of dims) count *= dim;
  return count;
}

/** Bytes that a tensor of this type and shape occupies in `raw_data` form. */
export function byteLength(dtype: DataType, dims: readonly number[]): number {
  return Math.ceil((elementCount(dims) * BITS[dtype]) / 8);
}

/** The tensor's exact values. A view on the file where alignment allows it: treat `data` as read-only. */
export function toHost(tensor: Tensor): HostTensor {
  const { dtype, dims } = tensor;
  if (dtype === 'string')
    return { dtype, dims, data: (tensor.strings ?? []).map((bytes) => new TextDecoder().decode(bytes)) };
  const expected = byteLength(dtype, dims);
  if (tensor.bytes.byteLength !== expected) {
    throw malformed(
      `tensor "${printable(tensor.name)}"`,
      `${dtype} [${dims.join(', ')}] needs ${expected} bytes, it has ${tensor.bytes.byteLength}`,
    );
  }
  return { dtype, dims, data: decode(tensor.bytes, dtype, elementCount(dims), tensor.name) };
}

/**
 * A constant tensor of this name. Values are rounded to the dtype (floats to nearest even, saturating for no type).
 * Shares memory where it can.
 */
export function fromHost(name: string, host: HostTensor): Tensor {
  const { dtype, dims, data } = host;
  if (isStrings(data))
    return {
      name,
      dtype: 'string',
      dims,
      bytes: new Uint8Array(0),
      strings: data.map((text) => new TextEncoder().encode(text)),
    };
  return { name, dtype, dims, bytes: encode(data, dtype) };
}

/** A host tensor of plain numbers. A Float32Array is shared, not copied: treat `data` as read-only. */
export function hostOf(
  dtype: DataType,
  dims: readonly number[],
  values: readonly number[] | ArrayLike<number>,
): HostTensor {
  if (dtype === 'float32' && values instanceof Float32Array) return { dtype, dims, data: values };
  const data = allocate(dtype, values.length);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    for (let i = 0; i < values.length; i++) data[i] = BigInt(values[i]!);
  else for (let i = 0; i < values.length; i++) data[i] = values[i]!;
  return { dtype, dims, data };
}

/** int64 vector, the type of shapes and axes. */
export function int64Host(values: readonly number[]): HostTensor {
  return hostOf('int64', [values.length], values);
}

/** The elements as plain numbers; 64-bit integers beyond 2^53 saturate at the nearest safe integer. */
export function hostNumbers(host: HostTensor): number[] {
  if (isStrings(host.data))
    throw new LatheError('malformed-model', 'the model has strings where the operator needs numbers');
  return Array.from(host.data as ArrayLike<number | bigint>, toNumber);
}

export function toNumber(value: number | bigint): number {
  if (typeof value === 'number') return value;
  if (value > MAX_SAFE) return Number.MAX_SAFE_INTEGER;
  return value < -MAX_SAFE ? -Number.MAX_SAFE_INTEGER : Number(value);
}
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** A zeroed array of the kind that holds this dtype on the host. */
export function allocate(dtype: DataType, length: number): Exclude<HostData, readonly string[]> {
  switch (dtype) {
    case 'float64':
      return new Float64Array(length);
    case 'int8':
    case 'int4':
    case 'int2':
      return new Int8Array(length);
    case 'uint8':
    case 'bool':
    case 'uint4':
    case 'uint2':
      return new Uint8Array(length);
    case 'int16':
      return new Int16Array(length);
    case 'uint16':
      return new Uint16Array(length);
    case 'int32':
      return new Int32Array(length);
    case 'uint32':
      return new Uint32Array(length);
    case 'int64':
      return new BigInt64Array(length);
    case 'uint64':
      return new BigUint64Array(length);
    default:
      if (isFloat(dtype)) return new Float32Array(length);
      throw new LatheError('unsupported-operator', `the engine has no arithmetic for values of type ${dtype}`);
  }
}

/** Widths of elements that share bytes. */
type PackedBits = 6 | 4 | 2;

/** Packs values of 6, 4 or 2 bits into a stream of bits, first element in the lowest bits. */
export function pack(values: ArrayLike<number>, bits: PackedBits): Uint8Array {
  const mask = (1 << bits) - 1;
  const bytes = new Uint8Array(Math.ceil((values.length * bits) / 8));
  for (let i = 0; i < values.length; i++) {
    const [place, shift] = [(i * bits) >>> 3, (i * bits) & 7];
    const code = (values[i]! & mask) << shift;
    bytes[place]! |= code;
    if (shift + bits > 8) bytes[place + 1]! |= code >> 8;
  }
  return bytes;
}

/** Inverse of `pack`; `signed` extends the sign bit. */
export function unpack(bytes: Uint8Array, count: number, bits: PackedBits, signed: boolean): Int8Array | Uint8Array {
  const mask = (1 << bits) - 1;
  const values = signed ? new Int8Array(count) : new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const place = (i * bits) >>> 3;
    const value = ((bytes[place]! | ((bytes[place + 1] ?? 0) << 8)) >> ((i * bits) & 7)) & mask;
    values[i] = signed ? (value << (32 - bits)) >> (32 - bits) : value;
  }
  return values;
}

function decode(bytes: Uint8Array, dtype: DataType, count: number, name: string): HostData {
  switch (dtype) {
    case 'int4':
    case 'uint4':
      return unpack(bytes, count, 4, dtype === 'int4');
    case 'int2':
    case 'uint2':
      return unpack(bytes, count, 2, dtype === 'int2');
    case 'bool':
      return bytes.map((byte) => (byte === 0 ? 0 : 1));
    case 'float16':
      return decodeFloat16(aligned(bytes, Uint16Array));
    case 'bfloat16':
      return decodeBfloat16(aligned(bytes, Uint16Array));
    case 'float4e2m1':
      return Float32Array.from(unpack(bytes, count, 4, false), (code) => decodeFloat(code, dtype));
    case 'float6e2m3':
    case 'float6e3m2':
      return Float32Array.from(unpack(bytes, count, 6, false), (code) => decodeFloat(code, dtype));
    case 'float8e4m3fn':
    case 'float8e4m3fnuz':
    case 'float8e5m2':
    case 'float8e5m2fnuz':
    case 'float8e8m0':
      return Float32Array.from(bytes, (code) => decodeFloat(code, dtype));
    case 'uint8':
      return bytes;
    case 'undefined':
    case 'complex64':
    case 'complex128':
    case 'string':
      throw new LatheError(
        'unsupported-operator',
        `tensor "${printable(name)}" is of type ${dtype}, for which the engine has no arithmetic`,
      );
    default:
      return aligned<HostData>(bytes, ARRAYS[dtype]);
  }
}

const ARRAYS = {
  int8: Int8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float32: Float32Array,
  float64: Float64Array,
} as const satisfies Partial<Record<DataType, ArrayType<HostData>>>;

interface ArrayType<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, offset: number, length: number): T;
}

/**
 * A typed view on the bytes; a copy only where they are not aligned (`slice` would not do: a Node Buffer's is no copy).
 */
function aligned<T>(bytes: Uint8Array, type: ArrayType<T>): T {
  const source = bytes.byteOffset % type.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
  return new type(source.buffer, source.byteOffset, Math.floor(source.byteLength / type.BYTES_PER_ELEMENT));
}

function encode(data: Exclude<HostData, readonly string[]>, dtype: DataType): Uint8Array {
  const numbers = data as ArrayLike<number>;
  switch (dtype) {
    case 'int4':
    case 'uint4':
      return pack(numbers, 4);
    case 'int2':
    case 'uint2':
      return pack(numbers, 2);
    case 'float16':
      return viewBytes(encodeFloat16(floats(data)));
    case 'bfloat16':
      return viewBytes(encodeBfloat16(floats(data)));
    case 'float4e2m1':
      return pack(codes(numbers, dtype), 4);
    case 'float6e2m3':
    case 'float6e3m2':
      return pack(codes(numbers, dtype), 6);
    case 'float8e4m3fn':
    case 'float8e4m3fnuz':
    case 'float8e5m2':
    case 'float8e5m2fnuz':
    case 'float8e8m0':
      return codes(numbers, dtype);
    default: {
      const own = allocate(dtype, 0);
      if (own.constructor === data.constructor) return viewBytes(data);
      return viewBytes(convert(data, dtype));
    }
  }
}

function convert(data: Exclude<HostData, readonly string[]>, dtype: DataType): ArrayBufferView {
  const target = allocate(dtype, data.length);
  if (target instanceof BigInt64Array || target instanceof BigUint64Array)
    for (let i = 0; i < data.length; i++) target[i] = BigInt(data[i]!);
  else for (let i = 0; i < data.length; i++) target[i] = Number(data[i]!);
  return target;
}

function codes(values: ArrayLike<number>, dtype: SmallFloat): Uint8Array {
  const bytes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) bytes[i] = encodeFloat(values[i]!, dtype);
  return bytes;
}

function floats(data: Exclude<HostData, readonly string[]>): Float32Array | Float64Array {
  return data instanceof Float32Array || data instanceof Float64Array
    ? data
    : Float64Array.from(data as ArrayLike<number>);
}

function viewBytes(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function isStrings(data: HostData): data is readonly string[] {
  return Array.isArray(data);
}
