/** Reading and making host tensors: which kind of array holds a type, and how values are rounded into it. */
import { GraphError } from '../../ir/graph-error.ts';
import { roundToFormat, type SmallFloat } from '../../ir/number-formats.ts';
import { allocate, elementCount, isFloat } from '../../ir/tensor-data.ts';
import type { DataType } from '../../ir/types.ts';
import type { HostData, HostTensor } from '../../ir/host-tensor.ts';

export type NumberArray = Exclude<HostData, readonly string[] | BigInt64Array | BigUint64Array>;
export type BigArray = BigInt64Array | BigUint64Array;

/** Held as bigint. */
export function isBig(dtype: DataType): boolean {
  return dtype === 'int64' || dtype === 'uint64';
}

/** Integer types of any width; bool is none. */
export function isInteger(dtype: DataType): boolean {
  return dtype !== 'bool' && dtype !== 'string' && !isFloat(dtype);
}

/** Elements of a type held as numbers. @throws GraphError for int64, uint64 and strings. */
export function numbersOf(x: HostTensor): NumberArray {
  if (isBig(x.dtype) || x.dtype === 'string') throw new GraphError(`values of type ${x.dtype} are not allowed here`);
  return x.data as NumberArray;
}

export function stringsOf(x: HostTensor): readonly string[] {
  if (x.dtype !== 'string') throw new GraphError(`values of type ${x.dtype} are not allowed where strings are needed`);
  return x.data as readonly string[];
}

/** A tensor whose elements a function of their position gives, rounded into the type. */
export function generate(dtype: DataType, dims: readonly number[], element: (index: number) => number): HostTensor {
  const data = allocate(dtype, elementCount(dims));
  const round = rounder(dtype);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    for (let i = 0; i < data.length; i++) data[i] = BigInt(element(i));
  else if (round) for (let i = 0; i < data.length; i++) data[i] = round(element(i));
  else for (let i = 0; i < data.length; i++) data[i] = element(i);
  return { dtype, dims, data };
}

/** As `allocate`, for strings as well: filled with zeros, false or ''. */
export function zeros(dtype: DataType, dims: readonly number[]): HostTensor {
  const count = elementCount(dims);
  return { dtype, dims, data: dtype === 'string' ? new Array<string>(count).fill('') : allocate(dtype, count) };
}

/** A scalar. */
export function scalar(dtype: DataType, value: number): HostTensor {
  return generate(dtype, [], () => value);
}

/**
 * Rounds a float64 result to a value of the type, where the array that holds the type does not do so by itself: the 16
 * and 8-bit floats (to nearest even, overflow to infinity) and the 4 and 2-bit integers (modulo, as the wider ones).
 */
export function rounder(dtype: DataType): ((value: number) => number) | null {
  switch (dtype) {
    case 'float16':
    case 'bfloat16':
    case 'float8e4m3fn':
    case 'float8e4m3fnuz':
    case 'float8e5m2':
    case 'float8e5m2fnuz':
    case 'float6e2m3':
    case 'float6e3m2':
    case 'float4e2m1':
    case 'float8e8m0': {
      const format: SmallFloat = dtype;
      return (value) => roundToFormat(value, format);
    }
    case 'int4':
      return (value) => (value << 28) >> 28;
    case 'uint4':
      return (value) => value & 15;
    case 'int2':
      return (value) => (value << 30) >> 30;
    case 'uint2':
      return (value) => value & 3;
    case 'bool':
      return (value) => (value === 0 ? 0 : 1);
    default:
      return null;
  }
}

const RANGES: Partial<Record<DataType, readonly [number, number]>> = {
  int2: [-2, 1],
  uint2: [0, 3],
  int4: [-8, 7],
  uint4: [0, 15],
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
};

/** Least and greatest value of an integer type of up to 32 bits. */
export function integerRange(dtype: DataType): readonly [number, number] {
  const range = RANGES[dtype];
  if (!range) throw new GraphError(`type ${dtype} is not allowed here`);
  return range;
}
