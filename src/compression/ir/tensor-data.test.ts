import { describe, expect, it } from 'vitest';
import { fromHost, hostNumbers, hostOf, pack, toHost, unpack } from './tensor-data.ts';
import type { DataType } from './types.ts';

describe('host tensors', () => {
  it.each<[DataType, readonly number[]]>([
    ['float32', [1.5, -2, 0]],
    ['float64', [1e300, -1e-300]],
    ['float16', [1, 65504, 2 ** -24]],
    ['bfloat16', [1, -3.140625]],
    ['int8', [-128, 127]],
    ['uint8', [0, 255]],
    ['int16', [-32768, 32767]],
    ['uint16', [65535]],
    ['int32', [-2147483648]],
    ['uint32', [4294967295]],
    ['int64', [-9007199254740991, 9007199254740991]],
    ['uint64', [9007199254740991]],
    ['bool', [0, 1, 1]],
    ['int4', [-8, 7, -1]],
    ['uint4', [15, 0, 9]],
    ['int2', [-2, 1, 0, -1, 1]],
    ['uint2', [3, 0, 2]],
    ['float8e4m3fn', [448, -0.5]],
    ['float8e5m2', [57344, 2 ** -16]],
    ['float4e2m1', [6, -0.5, 1.5]],
    ['float6e2m3', [1, -2, 0.5, 3.5, -0.25, 7]],
    ['float6e3m2', [28, -0.0625, 1.5]],
  ])('%s survives the way to bytes and back', (dtype, values) => {
    const tensor = fromHost('t', hostOf(dtype, [values.length], values));
    expect(hostNumbers(toHost(tensor))).toEqual(values);
  });

  it('reads elements at odd addresses, also from a Buffer', () => {
    const bytes = Buffer.alloc(9);
    bytes.writeFloatLE(1.25, 1);
    bytes.writeFloatLE(-2.5, 5);
    expect(hostNumbers(toHost({ name: 't', dtype: 'float32', dims: [2], bytes: bytes.subarray(1) }))).toEqual([
      1.25, -2.5,
    ]);
  });

  it('carries strings', () => {
    const tensor = fromHost('t', { dtype: 'string', dims: [2], data: ['é', ''] });
    expect(toHost(tensor).data).toEqual(['é', '']);
  });

  it('saturates int64 at the safe integers when read as numbers', () => {
    expect(
      hostNumbers({ dtype: 'int64', dims: [2], data: BigInt64Array.of(9223372036854775807n, -9223372036854775808n) }),
    ).toEqual([9007199254740991, -9007199254740991]);
  });

  it('refuses bytes that do not fit the shape, naming the tensor', () => {
    expect(() => toHost({ name: 'w', dtype: 'float32', dims: [3], bytes: new Uint8Array(8) })).toThrow(
      /tensor "w": float32 \[3\] needs 12 bytes, it has 8/,
    );
  });

  it('rounds once, from float64 to float16', () => {
    // Just above the tie between 1 and 1 + 2^-10; by way of float32 the excess is lost and the tie goes to 1.
    const value = 1 + 2 ** -11 + 2 ** -40;
    expect(toHost(fromHost('t', { dtype: 'float16', dims: [1], data: Float64Array.of(value) })).data[0]).toBe(
      1 + 2 ** -10,
    );
  });
});

it('packs the first element into the lowest bits', () => {
  expect([...pack([1, 2, -1], 4)]).toEqual([0x21, 0x0f]);
  expect([...pack([1, 2, 3, 0, 2], 2)]).toEqual([0b00111001, 0b10]);
  // as onnx 1.23's numpy_helper packs them
  expect([...pack([12, 48, 8, 19, 36, 23], 6)]).toEqual([12, 140, 76, 228, 5]);
  expect([...unpack(Uint8Array.of(12, 140, 76, 228, 5), 6, 6, false)]).toEqual([12, 48, 8, 19, 36, 23]);
  expect([...unpack(Uint8Array.of(0x21, 0x0f), 3, 4, true)]).toEqual([1, 2, -1]);
});
