/** Conversion between all element types by ONNX's rules (Cast-24), one rounding each. */
import { GraphError } from '../../ir/graph-error.ts';
import { encodeFloat, decodeFloat, type SmallFloat } from '../../ir/number-formats.ts';
import { allocate, elementCount, isFloat } from '../../ir/tensor-data.ts';
import type { DataType } from '../../ir/types.ts';
import type { HostTensor } from '../../ir/host-tensor.ts';
import { isBig, rounder, stringsOf } from './data.ts';

export interface CastOptions {
  /** Beyond the range of an 8-bit float: its largest value (default) rather than infinity or NaN. */
  readonly saturate?: boolean;
  /** How a float becomes a power of two (float8e8m0). */
  readonly roundMode?: 'up' | 'down' | 'nearest';
}

export function cast(x: HostTensor, to: DataType, options: CastOptions = {}): HostTensor {
  if (x.dtype === to) return x;
  if (to === 'string')
    return {
      dtype: to,
      dims: x.dims,
      data: Array.from(x.data as ArrayLike<number | bigint>, (value) => textOf(value, x.dtype)),
    };
  if (x.dtype === 'string') return cast(parseAll(x, to), to, options);
  if (isBig(to)) return toBigs(x, to);
  const source = isBig(x.dtype) ? narrowed(x, to) : (x.data as ArrayLike<number>);
  const data = allocate(to, elementCount(x.dims));
  const convert = converter(x.dtype, to, options);
  if (convert) for (let i = 0; i < data.length; i++) data[i] = convert(source[i]!);
  else (data as Float64Array).set(source);
  return { dtype: to, dims: x.dims, data };
}

/** int64 -> the low 32 bits where an integer is wanted (the rest is cut off anyway), else the nearest float64. */
function narrowed(x: HostTensor, to: DataType): ArrayLike<number> {
  const data = x.data as ArrayLike<bigint>;
  if (to === 'bool') return Float64Array.from(data, (value) => (value === 0n ? 0 : 1));
  return isFloat(to)
    ? Float64Array.from(data, Number)
    : Float64Array.from(data, (value) => Number(BigInt.asIntN(32, value)));
}

function toBigs(x: HostTensor, to: DataType): HostTensor {
  const data = allocate(to, elementCount(x.dims)) as BigInt64Array;
  if (isBig(x.dtype)) {
    const source = x.data as ArrayLike<bigint>;
    for (let i = 0; i < data.length; i++) data[i] = source[i]!;
  } else {
    const source = x.data as ArrayLike<number>;
    for (let i = 0; i < data.length; i++) data[i] = bigOf(source[i]!);
  }
  return { dtype: to, dims: x.dims, data };
}

/** Truncates; values beyond int64 (undefined in ONNX) become the least int64, as on x86. */
function bigOf(value: number): bigint {
  return Math.abs(value) < 2 ** 64 ? BigInt(Math.trunc(value)) : -(2n ** 63n);
}

/** Converts a number before it is stored in the target's array; null: no conversion needed. */
function converter(
  from: DataType,
  to: DataType,
  { saturate = true, roundMode = 'up' }: CastOptions,
): ((value: number) => number) | null {
  if (to === 'bool') return (value) => (value === 0 ? 0 : 1);
  if (to === 'float8e8m0') return (value) => toPowerOfTwo(value, saturate, roundMode);
  if (to === 'float8e4m3fn' || to === 'float8e4m3fnuz' || to === 'float8e5m2' || to === 'float8e5m2fnuz') {
    const format: SmallFloat = to;
    return (value) => decodeFloat(encodeFloat(value, format, saturate && !Number.isNaN(value)), format);
  }
  const round = rounder(to);
  if (isFloat(to) || !isFloat(from)) return round;
  return round ? (value) => round(truncate(value)) : truncate;
}

/**
 * Float to integer of 32 bits or less: towards zero; values beyond int32 and uint32 (undefined in ONNX) become the
 * least int32, as on x86.
 */
function truncate(value: number): number {
  const whole = Math.trunc(value);
  return whole >= -(2 ** 31) && whole < 2 ** 32 ? whole : -(2 ** 31);
}

/** OCP Microscaling's scale type: a power of two from 2^-127 to 2^127, or NaN. */
function toPowerOfTwo(value: number, saturate: boolean, mode: 'up' | 'down' | 'nearest'): number {
  const magnitude = Math.abs(Math.fround(value));
  if (Number.isNaN(magnitude)) return NaN;
  if (magnitude === 0) return saturate ? 2 ** -127 : NaN;
  if (magnitude === Infinity) return saturate ? 2 ** 127 : NaN;
  const floor = Math.floor(Math.log2(magnitude));
  const low = 2 ** floor > magnitude ? floor - 1 : 2 ** (floor + 1) <= magnitude ? floor + 1 : floor;
  const above = mode === 'up' ? magnitude > 2 ** low : mode === 'nearest' && magnitude >= 1.5 * 2 ** low;
  const exponent = low + (above ? 1 : 0);
  if (exponent > 127) return saturate ? 2 ** 127 : NaN;
  if (exponent < -127) return saturate ? 2 ** -127 : NaN;
  return 2 ** exponent;
}

/** Strings as float64 values, or as int64 where those are asked for. */
function parseAll(x: HostTensor, to: DataType): HostTensor {
  const texts = stringsOf(x);
  if (isBig(to) && texts.every((text) => /^\s*[+-]?\d+\s*$/.test(text)))
    return {
      dtype: 'int64',
      dims: x.dims,
      data: BigInt64Array.from(texts, (text) => BigInt(text.trim().replace(/^\+/, ''))),
    };
  return { dtype: 'float64', dims: x.dims, data: Float64Array.from(texts, parse) };
}

function parse(text: string): number {
  const trimmed = text.trim();
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(trimmed);
  if (special) return special[2]!.toLowerCase() === 'nan' ? NaN : special[1] === '-' ? -Infinity : Infinity;
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed))
    throw new GraphError(`"${trimmed.slice(0, 40)}" is no number`);
  return Number(trimmed);
}

/** Digits of precision that tell all values of a float type apart. */
const DIGITS: Partial<Record<DataType, number>> = { float16: 5, bfloat16: 4, float32: 9 };

/** The shortest decimal form that reads back as the same value. */
function textOf(value: number | bigint, dtype: DataType): string {
  if (typeof value === 'bigint') return String(value);
  if (dtype === 'bool') return value === 0 ? 'False' : 'True';
  if (!isFloat(dtype)) return String(value);
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'INF' : '-INF';
  return plain(shortest(value, dtype));
}

function shortest(value: number, dtype: DataType): number {
  const maxDigits = DIGITS[dtype];
  if (!maxDigits) return value;
  const round = rounder(dtype) ?? Math.fround;
  for (let digits = 1; digits < maxDigits; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (round(candidate) === value) return candidate;
  }
  return Number(value.toPrecision(maxDigits));
}

function plain(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e16 ? `${Object.is(value, -0) ? '-0' : value}.0` : String(value);
}
