import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { modelOf, tensor, value } from '../../../test/support/graphs.ts';
import { projectRoot } from '../../process/entry.ts';
import { readOnnx } from '../formats/onnx/read.ts';
import { countMacs, describeModel, weights } from './describe.ts';
import { makeNode } from '../ir/edit.ts';
import type { Node, Tensor, ValueInfo } from '../ir/types.ts';
import { countWeights } from './weights.ts';

describe('describeModel', () => {
  it('counts the example model', () => {
    // Three 3x3 convolutions on 28, 14 and 7 pixels, then two dense layers: counted by hand from the shapes of the
    // weights.
    const model = readOnnx(readFileSync(join(projectRoot, 'examples', 'digit_cnn.onnx')));
    const kernels = [...model.graph.initializers.values()].filter(({ dims }) => dims.length > 1);
    const pixels = [28 * 28, 14 * 14, 7 * 7, 1, 1];
    const macs = kernels
      .sort((a, b) => b.dims.length - a.dims.length)
      .reduce((sum, { dims }, i) => sum + dims.reduce((p, d) => p * d, 1) * pixels[i]!, 0);
    expect(describeModel(model, 'onnx')).toMatchObject({
      parameters: 390_410,
      macs,
      opset: 13,
      operators: { Conv: 3, Relu: 4, MaxPool: 3, Gemm: 2, Flatten: 1 },
      inputs: [{ name: 'input', dtype: 'float32', shape: [null, 1, 28, 28] }],
      outputs: [{ name: 'logits', dtype: 'float32', shape: [null, 10] }],
      warnings: [],
    });
  });

  it('warns of weights that are NaN, with the first; infinities may be masks', () => {
    const describe = (...values: number[]) =>
      describeModel(
        modelOf({
          nodes: [makeNode('MatMul', ['x', 'w'], ['y'])],
          initializers: [tensor('w', [2, 1], values)],
          inputs: [value('x', ['n', 2])],
          outputs: [value('y', ['n', 1])],
        }),
        'onnx',
      ).warnings;
    expect(describe(1, NaN)).toEqual([{ code: 'nan-weights', message: '1 value is NaN in weight "w"' }]);
    expect(describe(1, -Infinity)).toEqual([]);
  });

  it('does not guess the cost of open shapes', () => {
    const open = modelOf({
      nodes: [makeNode('Conv', ['x', 'w'], ['y'])],
      initializers: [tensor('w', [1, 1, 3, 3], new Float32Array(9))],
      inputs: [value('x', ['n', 1, 'h', 'w'])],
      outputs: [value('y', null)],
    });
    expect(describeModel(open, 'onnx').macs).toBeNull();
  });

  describe('counts the products of integers and of fused operators', () => {
    const [float, codes] = [value('x', ['n', 3, 8]), value('x', ['n', 3, 8], 'uint8')];
    const image = value('x', ['n', 2, 5, 5], 'uint8');
    const [s, z] = [tensor('s', [], [1]), tensor('z', [], [0], 'uint8')];
    const w = (dims: readonly number[], dtype: 'uint8' | 'float32' = 'uint8') =>
      tensor('w', dims, new Float32Array(dims.reduce((a, b) => a * b, 1)), dtype);
    const macs = (x: ValueInfo, node: Node, ...initializers: Tensor[]) =>
      countMacs(modelOf({ nodes: [node], initializers, inputs: [x], outputs: [], domains: { 'com.microsoft': 1 } }));
    const node = (type: string, inputs: readonly string[], attributes = {}, domain = '') =>
      makeNode(type, inputs, ['y'], attributes, { domain });
    const fused = (type: string, inputs: readonly string[], attributes = {}) =>
      node(type, inputs, attributes, 'com.microsoft');

    it.each<[string, number | null]>([
      ['MatMulInteger', macs(codes, node('MatMulInteger', ['x', 'w']), w([8, 4]))],
      ['QLinearMatMul', macs(codes, node('QLinearMatMul', ['x', 's', 'z', 'w', 's', 'z', 's', 'z']), s, z, w([8, 4]))],
      ['MatMulIntegerToFloat', macs(codes, fused('MatMulIntegerToFloat', ['x', 'w', 's', 's']), s, w([8, 4]))],
      ['DynamicQuantizeMatMul', macs(float, fused('DynamicQuantizeMatMul', ['x', 'w', 's']), s, w([8, 4]))],
    ])('%s of [3, 8] and [8, 4]', (_, count) => expect(count).toBe(3 * 8 * 4));

    it('QGemm of [1, 8] and [8, 4]', () => {
      const node = fused('QGemm', ['x', 's', 'z', 'w', 's', 'z', '', 's', 'z']);
      expect(macs(value('x', ['n', 8], 'uint8'), node, s, z, w([8, 4]))).toBe(8 * 4);
    });

    it('convolutions of 3x3 from 2 to 4 channels at 3x3 places', () => {
      expect(macs(image, node('ConvInteger', ['x', 'w']), w([4, 2, 3, 3]))).toBe(2 * 4 * 9 * 9);
      expect(macs(image, node('QLinearConv', ['x', 's', 'z', 'w', 's', 'z', 's', 'z']), s, z, w([4, 2, 3, 3]))).toBe(
        2 * 4 * 9 * 9,
      );
    });

    it('attention: projections, scores and their product with the values', () => {
      const scores = 2 * 3 * 3 * 8;
      expect(macs(float, fused('Attention', ['x', 'w'], { num_heads: 2 }), w([8, 24], 'float32'))).toBe(
        3 * 8 * 24 + scores,
      );
      expect(macs(float, fused('MultiHeadAttention', ['x', 'x', 'x'], { num_heads: 2 }))).toBe(scores);
      const lengths = [tensor('last', [1], [2], 'int32'), tensor('total', [], [3], 'int32')];
      expect(
        macs(
          value('x', ['n', 3, 16]),
          fused('GroupQueryAttention', ['x', '', '', '', '', 'last', 'total'], { num_heads: 2, kv_num_heads: 1 }),
          ...lengths,
        ),
      ).toBe(scores);
    });

    it('no means, however they are written', () => {
      const x = value('x', ['n', 2, 5, 5]);
      expect([
        macs(x, node('GlobalAveragePool', ['x'])),
        macs(x, node('AveragePool', ['x'], { kernel_shape: [5, 5] })),
        macs(x, node('ReduceMean', ['x'], { axes: [2, 3] })),
      ]).toEqual([0, 0, 0]);
    });
  });

  it('recognises a quantized model, with what and where, and counts its weights', () => {
    const model = modelOf({
      nodes: [
        makeNode('QuantizeLinear', ['x', 's', 'z'], ['q'], {}, { name: 'in' }),
        makeNode('DequantizeLinear', ['q', 's', 'z'], ['d']),
        makeNode('DequantizeLinear', ['w', 's', 'wz'], ['dw']),
        makeNode('MatMul', ['d', 'dw'], ['y']),
      ],
      initializers: [
        tensor('s', [], [0.1]),
        tensor('z', [], [0], 'uint8'),
        tensor('wz', [], [0], 'int8'),
        tensor('w', [3, 4], new Float32Array(12), 'int8'),
      ],
      inputs: [value('x', [1, 3])],
      outputs: [value('y', [1, 4])],
    });
    const description = describeModel(model, 'onnx');
    expect(description.parameters).toBe(12);
    expect(description.warnings).toEqual([
      {
        code: 'already-quantized',
        message: expect.stringMatching(/1 QuantizeLinear \(first at "in"\), 2 DequantizeLinear/),
      },
    ]);
  });

  describe('counts the values that quantized weights stand for, not their scales', () => {
    const x = value('x', [1, 8]);
    const bytes = (name: string, dims: readonly number[], byte: number) =>
      tensor(name, dims, new Uint8Array(dims.reduce((a, b) => a * b, 1)).fill(byte), 'uint8');
    const scale = (name: string, dims: readonly number[] = []) =>
      tensor(name, dims, new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(0.5));
    const counts = (nodes: readonly Node[], initializers: readonly Tensor[]) => {
      const model = modelOf({
        nodes,
        initializers,
        inputs: [x],
        outputs: [value('y', null)],
        domains: { 'com.microsoft': 1 },
      });
      return { ...countWeights(model.graph), weights: weights(model.graph).map(({ name }) => name) };
    };
    const node = (type: string, inputs: readonly string[], attributes = {}) =>
      makeNode(type, inputs, ['y'], attributes, { domain: 'com.microsoft' });

    // 3 outputs of 16 inputs each in one block: 48 codes, all of them the middle of the range but what the byte says.
    it.each([
      [2, 4, 0b10101011, 12],
      [4, 8, 0x89, 24],
      [8, 16, 0x81, 48],
    ])('MatMulNBits of %i bits', (bits, blob, byte, nonZero) => {
      const count = counts(
        [node('MatMulNBits', ['x', 'w', 's'], { K: 16, N: 3, bits, block_size: 16 })],
        [bytes('w', [3, 1, blob], byte), scale('s', [3])],
      );
      expect(count).toEqual({ parameters: 48, nonZero, weights: ['w'] });
    });

    it('QLinearConcat', () => {
      const names = ['ys', 'yz', 'a', 'as', 'az', 'b', 'bs', 'bz'];
      const count = counts(
        [node('QLinearConcat', names, { axis: 0 })],
        names.map((name) =>
          name.endsWith('s') ? scale(name) : name.endsWith('z') ? bytes(name, [], 3) : bytes(name, [4], 7),
        ),
      );
      expect(count.weights).toEqual(['a', 'b']);
    });

    it('QGemm, QLinearAdd', () => {
      const constants = [scale('s'), bytes('z', [], 0), bytes('w', [8, 4], 1)];
      expect(counts([node('QGemm', ['x', 's', 'z', 'w', 's', 'z', '', 's', 'z'])], constants)).toEqual({
        parameters: 32,
        nonZero: 32,
        weights: ['w'],
      });
      expect(counts([node('QLinearAdd', ['x', 's', 'z', 'w', 's', 'z', 's', 'z'])], constants)).toEqual({
        parameters: 32,
        nonZero: 32,
        weights: ['w'],
      });
    });

    it('caches of a rotary embedding, which are no weights in either domain', () => {
      const caches = [scale('cos', [5, 4]), scale('sin', [5, 4]), tensor('p', [1, 1], [0], 'int64')];
      expect(counts([node('RotaryEmbedding', ['x', 'p', 'cos', 'sin'])], caches)).toEqual({
        parameters: 0,
        nonZero: 0,
        weights: [],
      });
      expect(counts([makeNode('RotaryEmbedding', ['x', 'cos', 'sin', 'p'], ['y'])], caches)).toEqual({
        parameters: 0,
        nonZero: 0,
        weights: [],
      });
    });
  });

  it('leaves initializers out of the inputs, as files of IR version 3 list them there', () => {
    const model = modelOf({
      nodes: [makeNode('Add', ['x', 'w'], ['y'])],
      initializers: [tensor('w', [1], [1])],
      inputs: [value('x', [1]), value('w', [1])],
      outputs: [value('y', [1])],
    });
    expect(describeModel(model, 'onnx').inputs.map(({ name }) => name)).toEqual(['x']);
  });
});
