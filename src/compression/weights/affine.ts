/**
 * Affine quantization, q = clamp(round(x / scale) + zeroPoint), as ONNX's QuantizeLinear defines it (round half to
 * even). Every range is extended to contain zero, so that zero is exact: padding, ReLU and pruned weights stay exact.
 */
import { roundHalfEven } from '../ir/number-formats.ts';

export type IntegerType = 'int8' | 'uint8' | 'int4';

export interface IntegerRange {
  readonly low: number;
  readonly high: number;
}

export const RANGES: Readonly<Record<IntegerType, IntegerRange>> = {
  int8: { low: -128, high: 127 },
  uint8: { low: 0, high: 255 },
  int4: { low: -8, high: 7 },
};

export interface Affine {
  readonly scale: number;
  readonly zeroPoint: number;
}

const { fround } = Math;
/** Below this a scale's reciprocal leaves float32. */
const MIN_SCALE = 2 ** -120;

/** Least and largest value seen. */
export interface ValueRange {
  readonly low: number;
  readonly high: number;
}

/** Parameters that cover [low, high] and zero. A range of zero alone gets scale 1. */
export function affineOf({ low, high }: ValueRange, { low: minCode, high: maxCode }: IntegerRange): Affine {
  const [from, to] = [Math.min(low, 0), Math.max(high, 0)];
  const scale = fround((to - from) / (maxCode - minCode));
  if (!(scale > MIN_SCALE)) return { scale: 1, zeroPoint: minCode };
  return { scale, zeroPoint: Math.min(maxCode, Math.max(minCode, roundHalfEven(minCode - from / scale))) };
}

/** Parameters around zero: |x| <= magnitude; the code -2^(b-1) stays unused, so that the codes are symmetric too. */
export function symmetricAffine(magnitude: number, { high }: IntegerRange): Affine {
  const scale = fround(magnitude / high);
  return { scale: scale > MIN_SCALE ? scale : 1, zeroPoint: 0 };
}

export function quantizeValue(value: number, { scale, zeroPoint }: Affine, { low, high }: IntegerRange): number {
  const code = roundHalfEven(value / scale) + zeroPoint;
  return code < low ? low : code > high ? high : code;
}

export function dequantizeValue(code: number, { scale, zeroPoint }: Affine): number {
  return (code - zeroPoint) * scale;
}
