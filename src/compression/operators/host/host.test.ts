import { describe, expect, it } from 'vitest';
import { hostNumbers, hostOf } from '../../ir/tensor-data.ts';
import type { DataType } from '../../ir/types.ts';
import { cast, concat, map, offsetsAlong, pick, transpose, viewOffsets, zip } from './index.ts';
import { erf } from '../unary.ts';

const add = { number: (a: number, b: number) => a + b, big: (a: bigint, b: bigint) => a + b };
const multiply = { number: (a: number, b: number) => a * b, int32: Math.imul, big: (a: bigint, b: bigint) => a * b };
const strings = (dims: readonly number[], data: readonly string[]) => ({ dtype: 'string' as const, dims, data });

describe('arithmetic keeps to the width of its type', () => {
  it.each<[DataType, number, number, number]>([
    ['int4', 7, 1, -8],
    ['uint4', 15, 2, 1],
    ['int8', 127, 1, -128],
    ['uint8', 255, 1, 0],
    ['int16', 32767, 1, -32768],
    ['int32', 2 ** 31 - 1, 1, -(2 ** 31)],
    ['uint32', 2 ** 32 - 1, 1, 0],
    ['float16', 2048, 1, 2048],
    ['bfloat16', 256, 1, 256],
    ['float32', 2 ** 24, 1, 2 ** 24],
    ['float64', 2 ** 24, 1, 2 ** 24 + 1],
    ['float16', 65504, 65504, Infinity],
  ])('%s: %d + %d = %d', (dtype, a, b, sum) =>
    expect(hostNumbers(zip(hostOf(dtype, [], [a]), hostOf(dtype, [], [b]), add))).toEqual([sum]),
  );

  it('multiplies int32 exactly before it wraps', () => {
    const factor = hostOf('int32', [1], [0x7fffffff]);
    expect(hostNumbers(zip(factor, factor, multiply))).toEqual([1]);
  });

  it('wraps int64', () => {
    const most = { dtype: 'int64' as const, dims: [1], data: BigInt64Array.of(2n ** 63n - 1n) };
    expect(zip(most, hostOf('int64', [1], [1]), add).data).toEqual(BigInt64Array.of(-(2n ** 63n)));
  });

  it('refuses strings', () => expect(() => zip(strings([1], ['a']), strings([1], ['b']), add)).toThrow(/string/));
  it('refuses shapes that do not broadcast', () =>
    expect(() => zip(hostOf('float32', [2], [1, 2]), hostOf('float32', [3], [1, 2, 3]), add)).toThrow(
      'do not broadcast',
    ));
  it('refuses what a type has no function for', () =>
    expect(() => map(hostOf('int64', [1], [1]), { number: Math.sqrt })).toThrow('int64'));
});

describe('casts', () => {
  it.each<[string, DataType, number, DataType, number]>([
    ['towards zero', 'float32', -1.9, 'int32', -1],
    ['the high bits go', 'int16', 200, 'int8', -56],
    ['of int64, too', 'int64', 2 ** 40 + 3, 'uint8', 3],
    ['NaN is true', 'float32', NaN, 'bool', 1],
    ['to float16', 'float64', 1 / 3, 'float16', 0.333251953125],
    ['beyond float16', 'float32', 1e6, 'float16', Infinity],
    ['saturates', 'float32', 1e6, 'float8e4m3fn', 448],
    ['infinity as well', 'float32', -Infinity, 'float8e5m2', -57344],
    ['ties to even', 'float32', 17, 'float8e4m3fn', 16],
    ['powers of two, up', 'float32', 5, 'float8e8m0', 8],
    ['out of range, as x86 does', 'float32', 1e30, 'int32', -(2 ** 31)],
  ])('%s: %s %d -> %s', (_, from, value, to, result) =>
    expect(hostNumbers(cast(hostOf(from, [1], [value]), to))).toEqual([result]),
  );

  it('without saturation', () =>
    expect(hostNumbers(cast(hostOf('float32', [2], [1e6, 1e6]), 'float8e5m2', { saturate: false }))).toEqual([
      Infinity,
      Infinity,
    ]));
  it('reads strings', () =>
    expect(hostNumbers(cast(strings([4], ['1e-2', '-INF', '+inf', ' 7 ']), 'float32'))).toEqual([
      Math.fround(0.01),
      -Infinity,
      Infinity,
      7,
    ]));
  it('reads long integers exactly', () =>
    expect(cast(strings([1], ['9007199254740993']), 'int64').data).toEqual(BigInt64Array.of(9007199254740993n)));
  it('refuses words', () => expect(() => cast(strings([1], ['seven']), 'float32')).toThrow('"seven" is no number'));
  it('writes the shortest digits that read back', () =>
    expect(cast(hostOf('float32', [3], [0.1, 1, -Infinity]), 'string').data).toEqual(['0.1', '1.0', '-INF']));
});

describe('movement', () => {
  it('lists offsets of views that repeat and run backward', () =>
    expect([...viewOffsets([2, 3], [0, -1], 2)]).toEqual([2, 1, 0, 2, 1, 0]));
  it('takes a fill where an index is negative', () =>
    expect(hostNumbers(pick(hostOf('int8', [2], [5, 6]), [1, -1, 0], [3]))).toEqual([6, 0, 5]));
  it('multiplies index lists of axes', () => expect([...offsetsAlong([2, 3], [[1], [2, -1, 0]])]).toEqual([5, -1, 3]));
  it('moves strings like any type', () => {
    const x = strings([2, 2], ['a', 'b', 'c', 'd']);
    expect(transpose(x, [1, 0]).data).toEqual(['a', 'c', 'b', 'd']);
    expect(concat([x, strings([2, 1], ['e', 'f'])], 1).data).toEqual(['a', 'b', 'e', 'c', 'd', 'f']);
  });
});

/** Values of DLMF's table and of mpmath 1.3 with 30 digits. */
describe('erf in double precision', () => {
  it.each([
    [0, 0],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [2, 0.9953222650189527],
    [2.5, 0.999593047982555],
    [3, 0.9999779095030014],
    [-1.5, -0.9661051464753108],
  ])('erf(%d)', (x, y) => expect(Math.abs(erf(x) - y)).toBeLessThan(2e-15));
});
