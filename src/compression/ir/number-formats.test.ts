import { describe, expect, it } from 'vitest';
import {
  decodeBfloat16,
  decodeFloat,
  decodeFloat16,
  encodeBfloat16,
  encodeFloat,
  encodeFloat16,
  roundHalfEven,
  type SmallFloat,
} from './number-formats.ts';

const BITS: Readonly<Record<SmallFloat, number>> = {
  float16: 16,
  bfloat16: 16,
  float8e4m3fn: 8,
  float8e4m3fnuz: 8,
  float8e5m2: 8,
  float8e5m2fnuz: 8,
  float6e2m3: 6,
  float6e3m2: 6,
  float4e2m1: 4,
  float8e8m0: 8,
};
const FORMATS = Object.keys(BITS) as SmallFloat[];

/** Finite values of a format with their codes, ascending: the reference that encoding is checked against by search. */
function codebook(dtype: SmallFloat): { code: number; value: number }[] {
  const codes = Array.from({ length: 2 ** BITS[dtype] }, (_, code) => ({ code, value: decodeFloat(code, dtype) }));
  return codes.filter(({ value }) => Number.isFinite(value) && !Object.is(value, -0)).sort((a, b) => a.value - b.value);
}

/** The nearest code; of two equally near the one with an even last bit. */
function nearest(book: readonly { code: number; value: number }[], value: number): number {
  const above = book.findIndex((entry) => entry.value >= value);
  const [low, high] = [book[above - 1]!, book[above]!];
  const [down, up] = [value - low.value, high.value - value];
  if (down !== up) return down < up ? low.value : high.value;
  return low.code % 2 === 0 ? low.value : high.value;
}

describe.each(FORMATS)('%s', (dtype) => {
  it('encodes every one of its values to the code it came from', () => {
    for (const { code, value } of codebook(dtype)) expect(encodeFloat(value, dtype)).toBe(code);
  });

  it('rounds to the nearest value, ties to even', () => {
    if (dtype === 'float8e8m0') return; // rounds the exponent, tested below
    const book = codebook(dtype);
    for (let i = 1; i < book.length; i += dtype === 'float16' || dtype === 'bfloat16' ? 97 : 1) {
      const [a, b] = [book[i - 1]!.value, book[i]!.value];
      for (const value of [(a + b) / 2, a + (b - a) * 0.25, a + (b - a) * 0.75]) {
        expect(decodeFloat(encodeFloat(value, dtype), dtype) + 0).toBe(nearest(book, value) + 0);
      }
    }
  });

  it('keeps NaN where the format has one', () => {
    const decoded = decodeFloat(encodeFloat(NaN, dtype), dtype);
    expect(Number.isNaN(decoded)).toBe(!/^float[46]/.test(dtype));
  });
});

describe('known codes', () => {
  // Values from the ONNX float8 page, IEEE 754 and the OCP Microscaling specification.
  it.each<[SmallFloat, number, number]>([
    ['float16', 0x3c00, 1],
    ['float16', 0x7bff, 65504],
    ['float16', 0x0001, 2 ** -24],
    ['float16', 0xfc00, -Infinity],
    ['bfloat16', 0x3f80, 1],
    ['bfloat16', 0x7f80, Infinity],
    ['bfloat16', 0x0001, 2 ** -133],
    ['float8e4m3fn', 0x7e, 448],
    ['float8e4m3fn', 0x01, 2 ** -9],
    ['float8e4m3fnuz', 0x7f, 240],
    ['float8e4m3fnuz', 0x01, 2 ** -10],
    ['float8e5m2', 0x7b, 57344],
    ['float8e5m2', 0x7c, Infinity],
    ['float8e5m2fnuz', 0x7f, 57344],
    ['float8e5m2fnuz', 0x01, 2 ** -17],
    ['float4e2m1', 0x7, 6],
    ['float4e2m1', 0x1, 0.5],
    ['float8e8m0', 0x7f, 1],
    ['float8e8m0', 0x00, 2 ** -127],
    ['float6e2m3', 0x1f, 7.5],
    ['float6e2m3', 0x01, 0.125],
    ['float6e2m3', 0x3f, -7.5],
    ['float6e3m2', 0x1f, 28],
    ['float6e3m2', 0x01, 0.0625],
  ])('%s %i is %f', (dtype, code, value) => expect(decodeFloat(code, dtype)).toBe(value));

  it.each<[SmallFloat, number, boolean, number]>([
    ['float16', 65519.99, false, 0x7bff],
    ['float16', 65520, false, 0x7c00],
    ['float8e4m3fn', 1000, true, 0x7e],
    ['float8e4m3fn', -1000, false, 0xff],
    ['float8e5m2', 1e6, false, 0x7c],
    ['float8e5m2', 1e6, true, 0x7b],
    ['float8e4m3fnuz', Infinity, false, 0x80],
    ['float8e4m3fnuz', -0, false, 0],
    ['float4e2m1', 100, false, 0x7],
    ['float6e2m3', 1.1875, false, 10],
    ['float6e2m3', -100, false, 63],
    ['float6e3m2', 0.1875, false, 3],
    ['float6e3m2', Infinity, false, 31],
  ])('%s of %f (saturate %s) is code %i', (dtype, value, saturate, code) =>
    expect(encodeFloat(value, dtype, saturate)).toBe(code),
  );
});

describe('bulk conversions', () => {
  const values = Float32Array.from({ length: 20_000 }, (_, i) => Math.sin(i * 12.9898) * 2 ** ((i % 60) - 35));
  const special = Float32Array.of(
    0,
    -0,
    NaN,
    Infinity,
    -Infinity,
    65519,
    65520,
    3.4e38,
    1e-45,
    2 ** -25,
    2 ** -24 * 1.5,
    2 ** -14 - 2 ** -26,
  );

  it.each([
    ['varied values', values],
    ['special values', special],
  ])('agree with the single conversion: %s', (_, input) => {
    expect([...encodeFloat16(input)]).toEqual(Array.from(input, (value) => encodeFloat(value, 'float16')));
    expect([...encodeBfloat16(input)]).toEqual(Array.from(input, (value) => encodeFloat(value, 'bfloat16')));
  });

  it('decode every code', () => {
    const codes = Uint16Array.from({ length: 65536 }, (_, code) => code);
    expect([...decodeFloat16(codes)]).toEqual(Array.from(codes, (code) => decodeFloat(code, 'float16')));
    expect([...decodeBfloat16(codes)]).toEqual(Array.from(codes, (code) => decodeFloat(code, 'bfloat16')));
  });
});

it('rounds halves to even', () => {
  expect([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4, 2.6].map((value) => roundHalfEven(value) + 0)).toEqual([
    -2, -2, 0, 0, 2, 2, 2, 3,
  ]);
});
