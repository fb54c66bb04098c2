/**
 * The small float formats of ONNX: exact decoding, and encoding with one rounding (to nearest, ties to even) from
 * float64. Sources: IEEE 754-2019; "FP8 Formats for Deep Learning" (Micikevicius et al., 2022); OCP Microscaling
 * Formats 1.0; ONNX's float8 page.
 */

export type SmallFloat =
  | 'float16'
  | 'bfloat16'
  | 'float8e4m3fn'
  | 'float8e4m3fnuz'
  | 'float8e5m2'
  | 'float8e5m2fnuz'
  | 'float6e2m3'
  | 'float6e3m2'
  | 'float4e2m1'
  | 'float8e8m0';

interface Format {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  readonly bias: number;
  /**
   * `ieee`: infinities and NaNs; `fn`: no infinities, all ones is NaN; `fnuz`: no infinities, no negative zero, 0x80 is
   * NaN; `finite`: neither.
   */
  readonly specials: 'ieee' | 'fn' | 'fnuz' | 'finite';
}

const FORMATS: Record<Exclude<SmallFloat, 'float8e8m0'>, Format> = {
  float16: { exponentBits: 5, mantissaBits: 10, bias: 15, specials: 'ieee' },
  bfloat16: { exponentBits: 8, mantissaBits: 7, bias: 127, specials: 'ieee' },
  float8e4m3fn: { exponentBits: 4, mantissaBits: 3, bias: 7, specials: 'fn' },
  float8e4m3fnuz: { exponentBits: 4, mantissaBits: 3, bias: 8, specials: 'fnuz' },
  float8e5m2: { exponentBits: 5, mantissaBits: 2, bias: 15, specials: 'ieee' },
  float8e5m2fnuz: { exponentBits: 5, mantissaBits: 2, bias: 16, specials: 'fnuz' },
  float6e2m3: { exponentBits: 2, mantissaBits: 3, bias: 1, specials: 'finite' },
  float6e3m2: { exponentBits: 3, mantissaBits: 2, bias: 3, specials: 'finite' },
  float4e2m1: { exponentBits: 2, mantissaBits: 1, bias: 1, specials: 'finite' },
};

const float64 = new DataView(new ArrayBuffer(8));
const float32 = new Float32Array(1);
const uint32 = new Uint32Array(float32.buffer);

/**
 * Bits of the nearest representable value. Beyond the largest: the largest where `saturate`, else infinity (or NaN
 * where there is none).
 */
export function encodeFloat(value: number, dtype: SmallFloat, saturate = false): number {
  if (dtype === 'float8e8m0') return encodeE8M0(value);
  const { exponentBits, mantissaBits, bias, specials } = FORMATS[dtype];
  const sign = (value < 0 || Object.is(value, -0) ? 1 : 0) << (exponentBits + mantissaBits);
  const maxBits = largestBits(dtype);
  if (Number.isNaN(value)) return notANumber(dtype);
  const magnitude = Math.abs(value);
  const bits = magnitude === Infinity ? maxBits + 1 : nearestBits(magnitude, mantissaBits, bias);
  if (bits > maxBits) {
    if (saturate || specials === 'finite') return sign | maxBits;
    return specials === 'ieee'
      ? sign | infinityBits(exponentBits, mantissaBits)
      : specials === 'fn'
        ? sign | (maxBits + 1)
        : notANumber(dtype);
  }
  return specials === 'fnuz' && bits === 0 ? 0 : sign | bits;
}

/** The exact value of the bits. */
export function decodeFloat(bits: number, dtype: SmallFloat): number {
  if (dtype === 'float8e8m0') return bits === 0xff ? NaN : 2 ** (bits - 127);
  const { exponentBits, mantissaBits, bias, specials } = FORMATS[dtype];
  const negative = (bits >> (exponentBits + mantissaBits)) & 1;
  const magnitude = bits & ((1 << (exponentBits + mantissaBits)) - 1);
  if (specials === 'fnuz' && negative && magnitude === 0) return NaN;
  if (magnitude > largestBits(dtype))
    return specials === 'ieee' && magnitude === infinityBits(exponentBits, mantissaBits)
      ? negative
        ? -Infinity
        : Infinity
      : NaN;
  const exponent = magnitude >> mantissaBits;
  const mantissa = magnitude & ((1 << mantissaBits) - 1);
  const value =
    exponent === 0
      ? mantissa * 2 ** (1 - bias - mantissaBits)
      : ((1 << mantissaBits) + mantissa) * 2 ** (exponent - bias - mantissaBits);
  return negative ? -value : value;
}

/** The value after a round trip through the format. */
export function roundToFormat(value: number, dtype: SmallFloat, saturate = false): number {
  return decodeFloat(encodeFloat(value, dtype, saturate), dtype);
}

/**
 * Nearest integer, ties to even: what ONNX's Round, QuantizeLinear and IEEE 754 ask for (Math.round rounds ties up).
 */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  if (fraction < 0.5) return floor;
  if (fraction > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** float32 -> float16 bits in bulk; overflow becomes infinity. */
export function encodeFloat16(values: Float32Array | Float64Array): Uint16Array {
  const bits = new Uint16Array(values.length);
  if (values instanceof Float64Array)
    for (let i = 0; i < values.length; i++) bits[i] = encodeFloat(values[i]!, 'float16');
  else for (let i = 0; i < values.length; i++) bits[i] = float16OfFloat32(values[i]!);
  return bits;
}

/** float32 -> bfloat16 bits in bulk. */
export function encodeBfloat16(values: Float32Array | Float64Array): Uint16Array {
  const bits = new Uint16Array(values.length);
  if (values instanceof Float64Array)
    for (let i = 0; i < values.length; i++) bits[i] = encodeFloat(values[i]!, 'bfloat16');
  else for (let i = 0; i < values.length; i++) bits[i] = bfloat16OfFloat32(values[i]!);
  return bits;
}

let float16Table: Float32Array | undefined;

/** float16 bits -> float32 in bulk, by table. */
export function decodeFloat16(bits: Uint16Array): Float32Array {
  float16Table ??= Float32Array.from({ length: 65536 }, (_, code) => decodeFloat(code, 'float16'));
  const table = float16Table;
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]!]!;
  return values;
}

/** bfloat16 bits -> float32 in bulk: the upper half of a float32. */
export function decodeBfloat16(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return new Float32Array(words.buffer);
}

/**
 * Rounds a positive finite value to a multiple of its binade's quantum; subnormals and the carry into the next binade
 * fall out of the sum.
 */
function nearestBits(magnitude: number, mantissaBits: number, bias: number): number {
  const exponent = Math.max(binaryExponent(magnitude), 1 - bias);
  const quanta = roundHalfEven(magnitude * 2 ** (mantissaBits - exponent));
  return ((exponent + bias - 1) << mantissaBits) + quanta;
}

/** floor(log2(value)) of a positive finite number. */
function binaryExponent(value: number): number {
  float64.setFloat64(0, value);
  return (float64.getUint16(0) >> 4) - 1023; // float64's own subnormals come out as -1023: far below every format here
}

function largestBits(dtype: Exclude<SmallFloat, 'float8e8m0'>): number {
  const { exponentBits, mantissaBits, specials } = FORMATS[dtype];
  const all = (1 << (exponentBits + mantissaBits)) - 1;
  if (specials === 'ieee') return infinityBits(exponentBits, mantissaBits) - 1;
  return specials === 'fn' ? all - 1 : all;
}

function infinityBits(exponentBits: number, mantissaBits: number): number {
  return ((1 << exponentBits) - 1) << mantissaBits;
}

function notANumber(dtype: Exclude<SmallFloat, 'float8e8m0'>): number {
  const { exponentBits, mantissaBits, specials } = FORMATS[dtype];
  if (specials === 'ieee') return infinityBits(exponentBits, mantissaBits) | (1 << (mantissaBits - 1));
  if (specials === 'fn') return (1 << (exponentBits + mantissaBits)) - 1;
  return specials === 'fnuz' ? 1 << (exponentBits + mantissaBits) : 0;
}

/** E8M0 holds powers of two only, as scales: the magnitude's exponent, rounded to nearest. */
function encodeE8M0(value: number): number {
  const magnitude = Math.abs(value);
  if (Number.isNaN(value) || magnitude === Infinity) return 0xff;
  if (magnitude === 0) return 0;
  const exponent = binaryExponent(magnitude);
  const rounded = magnitude / 2 ** exponent >= 1.5 ? exponent + 1 : exponent;
  return Math.min(Math.max(rounded + 127, 0), 254);
}

function float16OfFloat32(value: number): number {
  float32[0] = value;
  const word = uint32[0]!;
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds beyond 65504
  if (magnitude < 0x38800000) return sign | roundHalfEven(Math.abs(value) * 2 ** 24); // subnormal: multiples of 2^-24
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

function bfloat16OfFloat32(value: number): number {
  float32[0] = value;
  const word = uint32[0]!;
  if ((word & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return ((word + 0x7fff + ((word >>> 16) & 1)) >>> 16) & 0xffff;
}
