/**
 * A perceptron as skl2onnx writes it: scaled inputs, the label through an index into the classes, scores as a tensor or
 * as a map.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { makeNode } from '../../../src/compression/ir/edit.ts';
import type { Model, Node } from '../../../src/compression/ir/types.ts';
import { checkAgainstRuntime } from '../../../src/compression/agreement/agreement.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { modelOf, spread, tensor, value } from '../../support/graphs.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

const ml = { domain: 'ai.onnx.ml' };

function perceptron(more: readonly Node[], scores: Model['graph']['outputs'][number]): Model {
  return modelOf({
    nodes: [
      makeNode(
        'Scaler',
        ['x'],
        ['scaled'],
        { offset: { floats: [5.8, 3, 3.7, 1.2] }, scale: { floats: [1.2, 2.3, 0.6, 1.3] } },
        ml,
      ),
      makeNode('MatMul', ['scaled', 'w1'], ['h']),
      makeNode('Add', ['h', 'b1'], ['hb']),
      makeNode('Relu', ['hb'], ['r']),
      makeNode('MatMul', ['r', 'w2'], ['o']),
      makeNode('Add', ['o', 'b2'], ['ob']),
      makeNode('Softmax', ['ob'], ['p'], { axis: 1 }),
      makeNode('ArgMax', ['p'], ['at'], { axis: 1 }),
      makeNode('ArrayFeatureExtractor', ['classes', 'at'], ['names'], {}, ml),
      makeNode('Reshape', ['names', 'rows'], ['label']),
      ...more,
    ],
    initializers: [
      tensor('w1', [4, 8], spread(32)),
      tensor('b1', [1, 8], spread(8, 2)),
      tensor('w2', [8, 3], spread(24, 3)),
      tensor('b2', [1, 3], spread(3, 4)),
      tensor('classes', [3], [7, 8, 9], 'int64'),
      tensor('rows', [1], [-1], 'int64'),
    ],
    inputs: [value('x', ['n', 4])],
    outputs: [value('label', ['n'], 'int64'), scores],
    domains: { 'ai.onnx.ml': 1 },
  });
}

describe('a perceptron of scikit-learn', () => {
  it('is trainable with its scores as a tensor', async () => {
    const model = perceptron([makeNode('Identity', ['p'], ['scores'])], value('scores', ['n', 3]));
    expect(await checkAgainstRuntime(writeOnnx(model), model)).toMatchObject({ trainable: true, untrainable: [] });
  });

  it('is told how to get a tensor where its scores are a map', async () => {
    const model = perceptron([makeNode('ZipMap', ['p'], ['scores'], { classlabels_int64s: [7, 8, 9] }, ml)], {
      name: 'scores',
      type: null,
    });
    const { trainable, untrainable } = await checkAgainstRuntime(writeOnnx(model), model);
    expect(trainable).toBe(false);
    expect(untrainable).toEqual([
      {
        node: 'node "scores" (ZipMap)',
        operator: 'ai.onnx.ml.ZipMap',
        reason: expect.stringContaining('options={"zipmap": False}') as unknown,
      },
    ]);
  });
});
