import { describe, expect, it } from 'vitest';
import { hostNumbers, toHost } from '../../ir/tensor-data.ts';
import {
  CODE,
  graphBytes,
  identityModel,
  modelBytes,
  modelWithInitializer,
  nodeBytes,
  tensorBytes,
  valueBytes,
} from '../../../../test/support/onnx-bytes.ts';
import { readOnnx } from './read.ts';
import { MessageWriter } from './wire.ts';

/** Packed varints. */
const packed = (field: number, values: readonly (number | bigint)[]) => (writer: MessageWriter) => {
  const inner = new MessageWriter();
  for (const value of values) inner.raw(new MessageWriter().int(1, value).finish().subarray(1)); // without its tag
  return writer.message(field, inner);
};
const loose = (field: number, values: readonly number[]) => (writer: MessageWriter) => writer.ints(field, values);
const raw = (bytes: readonly number[]) => (writer: MessageWriter) => writer.payload(9, Uint8Array.from(bytes));
const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const initializer = (tensor: MessageWriter) => readOnnx(modelWithInitializer(tensor)).graph.initializers.get('w')!;

describe('storage forms of initializers', () => {
  it.each<[string, number, readonly number[], (writer: MessageWriter) => MessageWriter, readonly number[]]>([
    ['float32 raw', CODE.float32, [2], raw([0, 0, 128, 63, 0, 0, 0, 192]), [1, -2]],
    [
      'float32 in float_data, packed',
      CODE.float32,
      [2],
      (w) => w.payload(4, bytesOf(Float32Array.of(1.5, -2))),
      [1.5, -2],
    ],
    ['float32 in float_data, one by one', CODE.float32, [2], (w) => w.floats(4, [1.5, -2]), [1.5, -2]],
    [
      'float64 in double_data',
      CODE.float64,
      [2],
      (w) => w.payload(10, bytesOf(Float64Array.of(1e300, -2))),
      [1e300, -2],
    ],
    ['int32 in int32_data, packed', CODE.int32, [3], packed(5, [1, -1, 2147483647]), [1, -1, 2147483647]],
    ['int32 in int32_data, one by one', CODE.int32, [2], loose(5, [7, -9]), [7, -9]],
    ['int8 in int32_data', CODE.int8, [3], packed(5, [-128, 127, -1]), [-128, 127, -1]],
    ['uint8 in int32_data', CODE.uint8, [2], packed(5, [0, 255]), [0, 255]],
    ['int16 in int32_data', CODE.int16, [2], packed(5, [-32768, 5]), [-32768, 5]],
    ['uint16 in int32_data', CODE.uint16, [1], packed(5, [65535]), [65535]],
    ['bool in int32_data', CODE.bool, [2], packed(5, [1, 0]), [1, 0]],
    ['float16 in int32_data', CODE.float16, [2], packed(5, [0x3c00, 0xc000]), [1, -2]],
    ['bfloat16 in int32_data', CODE.bfloat16, [1], packed(5, [0x3f80]), [1]],
    ['float8 in int32_data', CODE.float8e4m3fn, [1], packed(5, [0x7e]), [448]],
    ['int4 in int32_data, two to an element', CODE.int4, [3], packed(5, [0x8f, 0x07]), [-1, -8, 7]],
    [
      'float6 in int32_data, one to an element',
      CODE.float6e2m3,
      [6],
      packed(5, [8, 48, 4, 22, 34, 30]),
      [1, -2, 0.5, 3.5, -0.25, 7],
    ],
    ['float6 raw, four to three bytes', CODE.float6e3m2, [6], raw([12, 140, 76, 228, 5]), [1, -2, 0.5, 3.5, -0.25, 7]],
    ['uint4 raw', CODE.uint4, [3], raw([0x21, 0x0f]), [1, 2, 15]],
    ['int64 in int64_data', CODE.int64, [3], packed(7, [-1n, 5n, -(2n ** 40n)]), [-1, 5, -(2 ** 40)]],
    ['uint64 in uint64_data', CODE.uint64, [1], packed(11, [2n ** 50n]), [2 ** 50]],
    ['uint32 in uint64_data', CODE.uint32, [1], packed(11, [4294967295]), [4294967295]],
    ['a scalar', CODE.float32, [], raw([0, 0, 128, 63]), [1]],
    ['no elements', CODE.float32, [0, 3], (w) => w, []],
  ])('%s', (_, type, dims, data, values) => {
    const tensor = initializer(tensorBytes('w', type, dims, data));
    expect(hostNumbers(toHost(tensor))).toEqual(values);
    expect(tensor.dims).toEqual(dims);
  });

  it('strings', () => {
    const tensor = initializer(tensorBytes('w', CODE.string, [2], (w) => w.text(6, 'a').text(6, 'ö')));
    expect(toHost(tensor).data).toEqual(['a', 'ö']);
  });

  it('raw and float data are views on the file', () => {
    const file = modelWithInitializer(
      tensorBytes('w', CODE.float32, [1000], (w) => w.payload(9, new Uint8Array(4000))),
    );
    expect(readOnnx(file).graph.initializers.get('w')!.bytes.buffer).toBe(file.buffer);
  });

  it.each<[string, MessageWriter, RegExp]>([
    [
      'too few elements',
      tensorBytes('w', CODE.float32, [3], raw([0, 0, 128, 63])),
      /float32 \[3\] needs 12 bytes, the file holds 4/,
    ],
    [
      '2 GiB declared and nothing stored',
      tensorBytes('w', CODE.float32, [32768, 16384]),
      /needs 2147483648 bytes, the file holds 0/,
    ],
    ['a size beyond all numbers', tensorBytes('w', CODE.float32, [2 ** 50, 2 ** 50, 2 ** 50]), /the file holds 0/],
    ['a negative dimension', tensorBytes('w', CODE.float32, [-1], raw([0, 0, 128, 63])), /negative dimension/],
    ['no element type', tensorBytes('w', 0, [1], raw([0])), /has no element type/],
    ['an unknown element type', tensorBytes('w', 99, [1], raw([0])), /element type 99/],
    [
      'a rank of 65',
      tensorBytes('w', CODE.float32, new Array<number>(65).fill(1), raw([0, 0, 128, 63])),
      /too many elements/,
    ],
    ['segments', tensorBytes('w', CODE.float32, [1], (w) => w.message(3, new MessageWriter().int(1, 0))), /segments/],
    [
      '2 GiB declared in int64_data',
      tensorBytes('w', CODE.int64, [16384, 16384], packed(7, [1, 2])),
      /268435456 elements declared in/,
    ],
    ['too many int64 elements', tensorBytes('w', CODE.int64, [1], packed(7, [1, 2])), /1 elements declared, 2 stored/],
    ['no name', tensorBytes('', CODE.float32, [1], raw([0, 0, 128, 63])), /has no name/],
  ])('refuses %s', (_, tensor, message) => {
    expect(() => readOnnx(modelWithInitializer(tensor))).toThrow(
      expect.objectContaining({ code: 'malformed-model', message: expect.stringMatching(message) }),
    );
  });

  it('refuses external data, naming the tensor', () => {
    const external = tensorBytes('w', CODE.float32, [4], (w) =>
      w.message(13, new MessageWriter().text(1, 'location').text(2, '../../etc/passwd')).int(14, 1),
    );
    expect(() => readOnnx(modelWithInitializer(external))).toThrow(
      expect.objectContaining({
        code: 'unsupported-format',
        message: expect.stringMatching(/tensor "w".*another file/),
      }),
    );
  });
});

describe('opset imports', () => {
  it.each([
    [0, /opset 0 does not exist/],
    [null, /no opset import/],
  ])('%s is refused', (opset, message) => {
    expect(() => readOnnx(identityModel(opset))).toThrow(
      expect.objectContaining({ code: 'malformed-model', message: expect.stringMatching(message) }),
    );
  });

  it('takes the newest opset, and says of a newer one that it is newer', () => {
    expect(readOnnx(identityModel(28)).opsets.get('')).toBe(28);
    expect(() => readOnnx(identityModel(29))).toThrow(
      expect.objectContaining({
        code: 'unsupported-operator',
        message:
          'opset import: opset 29 is newer than the 28 this release knows; export the model with opset 28 or older',
      }),
    );
  });

  it('looks at those of functions too', () => {
    const opset = (version: number) => new MessageWriter().text(1, '').int(2, version);
    const body = nodeBytes({ opType: 'Relu', inputs: ['a'], outputs: ['b'] });
    const definition = new MessageWriter()
      .text(1, 'F')
      .text(4, 'a')
      .text(5, 'b')
      .message(7, body)
      .message(9, opset(31))
      .text(10, 'own');
    const file = new MessageWriter()
      .int(1, 8)
      .message(7, graphBytes({}))
      .message(8, opset(20))
      .message(25, definition)
      .finish();
    expect(() => readOnnx(file)).toThrow(
      expect.objectContaining({
        code: 'unsupported-operator',
        message: expect.stringMatching(/function "F".*opset 31 is newer than the 28 this release knows/),
      }),
    );
  });

  it('takes "ai.onnx" for the own domain', () => {
    const model = new MessageWriter()
      .int(1, 8)
      .message(
        7,
        graphBytes({ nodes: [nodeBytes({ opType: 'Relu', inputs: ['x'], outputs: ['y'], domain: 'ai.onnx' })] }),
      )
      .message(8, new MessageWriter().text(1, 'ai.onnx').int(2, 15))
      .finish();
    const read = readOnnx(model);
    expect(read.opsets.get('')).toBe(15);
    expect(read.graph.nodes[0]!.domain).toBe('');
  });
});

describe('attributes', () => {
  const attribute = (name: string, type: number, value: (writer: MessageWriter) => MessageWriter) =>
    value(new MessageWriter().text(1, name)).int(20, type);
  const read = (...attributes: MessageWriter[]) =>
    readOnnx(modelBytes(graphBytes({ nodes: [nodeBytes({ opType: 'Op', attributes })] }))).graph.nodes[0]!.attributes;

  it('of every kind', () => {
    const tensor = tensorBytes('t', CODE.int64, [1], loose(7, [4]));
    const attributes = read(
      attribute('f', 1, (w) => w.float(2, 0.5)),
      attribute('i', 2, (w) => w.int(3, -3)),
      attribute('s', 3, (w) => w.text(4, 'same')),
      attribute('t', 4, (w) => w.message(5, tensor)),
      attribute('g', 5, (w) => w.message(6, graphBytes({}))),
      attribute('fs', 6, (w) => w.floats(7, [1, 2])),
      attribute('is', 7, (w) => w.ints(8, [1, -2])),
      attribute('ss', 8, (w) => w.text(9, 'a').text(9, 'b')),
      attribute('ts', 9, (w) => w.message(10, tensor)),
      attribute('gs', 10, (w) => w.message(11, graphBytes({}))),
      attribute('none', 7, (w) => w),
      attribute('zero', 2, (w) => w),
      new MessageWriter().text(1, 'ref').text(21, 'outer').int(20, 1),
    );
    expect([...attributes].map(([name, { kind }]) => `${name} ${kind}`)).toEqual([
      'f float',
      'i int',
      's string',
      't tensor',
      'g graph',
      'fs floats',
      'is ints',
      'ss strings',
      'ts tensors',
      'gs graphs',
      'none ints',
      'zero int',
      'ref reference',
    ]);
    expect(attributes.get('f')).toMatchObject({ value: 0.5 });
    expect(attributes.get('i')).toMatchObject({ value: -3 });
    expect(attributes.get('is')).toMatchObject({ value: [1, -2] });
    expect(attributes.get('none')).toMatchObject({ value: [] });
    expect(attributes.get('zero')).toMatchObject({ value: 0 });
  });

  it('of files without type codes', () => {
    const attributes = read(
      new MessageWriter().text(1, 'pads').ints(8, [1, 1]),
      new MessageWriter().text(1, 'alpha').float(2, 2),
    );
    expect(attributes.get('pads')).toMatchObject({ kind: 'ints', value: [1, 1] });
    expect(attributes.get('alpha')).toMatchObject({ kind: 'float', value: 2 });
  });

  it('whose text is not UTF-8 are kept as bytes', () => {
    expect(read(attribute('s', 3, (w) => w.payload(4, Uint8Array.of(0xff, 0xfe)))).get('s')!.kind).toBe('opaque');
  });

  it('named twice are refused', () => {
    expect(() =>
      read(
        attribute('a', 2, (w) => w.int(3, 1)),
        attribute('a', 2, (w) => w.int(3, 2)),
      ),
    ).toThrow(/node 0.*two attributes named "a"/);
  });
});

describe('types of values', () => {
  const input = (value: MessageWriter) => readOnnx(modelBytes(graphBytes({ inputs: [value] }))).graph.inputs[0]!;

  it('with fixed, symbolic, unnamed and negative dimensions', () => {
    expect(input(valueBytes('x', ['n', 3, '', -1])).type).toEqual({ dtype: 'float32', shape: ['n', 3, null, null] });
  });

  it('of unknown rank, and of other kinds', () => {
    expect(
      input(new MessageWriter().text(1, 'x').message(2, new MessageWriter().message(1, new MessageWriter().int(1, 1))))
        .type,
    ).toEqual({ dtype: 'float32', shape: null });
    expect(
      input(new MessageWriter().text(1, 'x').message(2, new MessageWriter().message(4, new MessageWriter()))).type,
    ).toBeNull();
  });
});
