/** Exact values of any ONNX type, as JavaScript arrays. */
import type { DataType } from './types.ts';

/**
 * Exact data on the host, row-major. float64 is a Float64Array; float32 and smaller floats are a Float32Array of their
 * exact values; bool is a Uint8Array of 0 and 1; integers of less than 8 bits are unpacked to Int8Array or Uint8Array;
 * other integers have their own array, with bigint for 64 bits.
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
