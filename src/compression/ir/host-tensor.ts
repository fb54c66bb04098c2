/** Exact values of any ONNX type, as JavaScript arrays. */
import type { DataType } from './types.ts';

/**
 * Exact data on the host. `data` is row-major: bigint for int64/uint64, Float64Array semantics (rounded to the dtype)
 * elsewhere.
 */
export interface HostTensor {
  readonly dtype: DataType;
  readonly dims: readonly number[];
  readonly data: HostData;
}
export type HostData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | readonly string[];
// Storage by dtype: float32 and float16/bfloat16/float8 (as their exact values) -> Float32Array; float64 ->
// Float64Array;
// bool -> Uint8Array of 0/1; int4/uint4/int2/uint2 unpacked -> Int8Array/Uint8Array; the others their own array.
