import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { modelOf, tensor, value } from '../../../test/support/graphs.ts';
import { projectRoot } from '../../process-entry.ts';
import { readOnnx } from '../formats/onnx/read.ts';
import { describeModel } from './describe.ts';
import { makeNode } from './edit.ts';

describe('describeModel', () => {
  it('counts the example model', () => {
    // Three 3x3 convolutions on 28, 14 and 7 pixels, then two dense layers: counted by hand from the shapes of the weights.
    const model = readOnnx(readFileSync(join(projectRoot, 'examples', 'digit_cnn.onnx')));
    const kernels = [...model.graph.initializers.values()].filter(({ dims }) => dims.length > 1);
    const pixels = [28 * 28, 14 * 14, 7 * 7, 1, 1];
    const macs = kernels.sort((a, b) => b.dims.length - a.dims.length).reduce((sum, { dims }, i) => sum + dims.reduce((p, d) => p * d, 1) * pixels[i]!, 0);
    expect(describeModel(model, 'onnx')).toMatchObject({
      parameters: 390_410, macs, opset: 13, operators: { Conv: 3, Relu: 4, MaxPool: 3, Gemm: 2, Flatten: 1 },
      inputs: [{ name: 'input', dtype: 'float32', shape: [null, 1, 28, 28] }], outputs: [{ name: 'logits', dtype: 'float32', shape: [null, 10] }], warnings: [],
    });
  });

  it('does not guess the cost of open shapes', () => {
    const open = modelOf({ nodes: [makeNode('Conv', ['x', 'w'], ['y'])], initializers: [tensor('w', [1, 1, 3, 3], new Float32Array(9))], inputs: [value('x', ['n', 1, 'h', 'w'])], outputs: [value('y', null)] });
    expect(describeModel(open, 'onnx').macs).toBeNull();
  });

  it('recognises a quantized model, with what and where, and counts its weights', () => {
    const model = modelOf({
      nodes: [makeNode('QuantizeLinear', ['x', 's', 'z'], ['q'], {}, { name: 'in' }), makeNode('DequantizeLinear', ['q', 's', 'z'], ['d']), makeNode('DequantizeLinear', ['w', 's', 'wz'], ['dw']), makeNode('MatMul', ['d', 'dw'], ['y'])],
      initializers: [tensor('s', [], [0.1]), tensor('z', [], [0], 'uint8'), tensor('wz', [], [0], 'int8'), tensor('w', [3, 4], new Float32Array(12), 'int8')], inputs: [value('x', [1, 3])], outputs: [value('y', [1, 4])],
    });
    const description = describeModel(model, 'onnx');
    expect(description.parameters).toBe(12);
    expect(description.warnings).toEqual([{ code: 'already-quantized', message: expect.stringMatching(/1 QuantizeLinear \(first at "in"\), 2 DequantizeLinear/) }]);
  });

  it('leaves initializers out of the inputs, as files of IR version 3 list them there', () => {
    const model = modelOf({ nodes: [makeNode('Add', ['x', 'w'], ['y'])], initializers: [tensor('w', [1], [1])], inputs: [value('x', [1]), value('w', [1])], outputs: [value('y', [1])] });
    expect(describeModel(model, 'onnx').inputs.map(({ name }) => name)).toEqual(['x']);
  });
});
