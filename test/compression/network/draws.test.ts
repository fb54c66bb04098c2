/** Models that draw random numbers are compared on the same draws: whatever the draw was, all else must agree. */
import { beforeAll, describe, expect, test } from 'vitest';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { makeNode } from '../../../src/compression/ir/edit.ts';
import type { Attribute, Model, Node } from '../../../src/compression/ir/types.ts';
import { checkAgainstRuntime } from '../../../src/compression/agreement/agreement.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { modelOf, tensor, value } from '../../support/graphs.ts';
import { randomTensor, withWeights } from '../../support/models.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

/** x [n, 4] -> before [4, 6] -> the nodes, from h to z -> after [6, 3] -> y. */
function model(nodes: readonly Node[]): Model {
  return modelOf({
    nodes: [makeNode('MatMul', ['x', 'before'], ['h']), ...nodes, makeNode('MatMul', ['z', 'after'], ['y'])],
    initializers: [
      randomTensor('before', [4, 6], 1),
      randomTensor('after', [6, 3], 2),
      randomTensor('table', [6, 6], 3),
      tensor('half', [], [0.5]),
      tensor('yes', [], [1], 'bool'),
      tensor('one', [1], [1], 'int64'),
    ],
    inputs: [value('x', ['n', 4])],
    outputs: [value('y', null)],
  });
}

const add = makeNode('Add', ['h', 'noise'], ['z']);
const CASES: readonly (readonly [string, readonly Node[]])[] = [
  ['RandomNormal', [makeNode('RandomNormal', [], ['noise'], { shape: [1, 6], scale: { float: 2 } }), add]],
  ['RandomUniform', [makeNode('RandomUniform', [], ['noise'], { shape: [1, 6] }), add]],
  ['RandomNormalLike', [makeNode('RandomNormalLike', ['h'], ['noise']), add]],
  ['RandomUniformLike', [makeNode('RandomUniformLike', ['h'], ['noise'], { low: { float: -1 } }), add]],
  ['Bernoulli', [makeNode('Sigmoid', ['h'], ['p']), makeNode('Bernoulli', ['p'], ['noise']), add]],
  [
    'Multinomial',
    [
      makeNode('Multinomial', ['h'], ['class'], { sample_size: 1 }),
      makeNode('Gather', ['table', 'class'], ['row']),
      makeNode('ReduceSum', ['row', 'one'], ['noise'], { keepdims: 0 }),
      add,
    ],
  ],
  ['Dropout', [makeNode('Dropout', ['h', 'half', 'yes'], ['z'])]],
];

describe.each(CASES)('a model with %s', (_, nodes) => {
  const given = model(nodes);

  test('is trainable', async () => {
    const { trainable, untrainable } = await checkAgainstRuntime(writeOnnx(given), given);
    expect(untrainable.map(({ reason }) => reason)).toEqual(
      untrainable.map(() => expect.stringContaining('before it cannot be trained') as string),
    );
    expect(trainable).toBe(true);
  });

  test.each(['before', 'after'])('is not where the engine computes with other weights %s the draw', async (where) => {
    const other = withWeights(given, (weight, _i, name) => (name === where ? 1.01 * weight : weight));
    const { trainable, untrainable } = await checkAgainstRuntime(writeOnnx(given), other);
    expect(trainable).toBe(false);
    expect(untrainable[0]!.reason).toMatch(/differs from onnxruntime/);
  });
});

test('draws inside a branch cannot be compared, and are named', async () => {
  const branch = (name: string, node: Node): Attribute => ({
    kind: 'graph',
    value: { name, nodes: [node], initializers: new Map(), inputs: [], outputs: [value(name, null)], valueInfos: [] },
  });
  const given = model([
    makeNode('If', ['yes'], ['z'], {
      then_branch: branch('noise', makeNode('RandomNormalLike', ['h'], ['noise'], {}, { name: 'dice' })),
      else_branch: branch('same', makeNode('Identity', ['h'], ['same'])),
    }),
  ]);
  expect(await checkAgainstRuntime(writeOnnx(given), given)).toEqual({
    trainable: false,
    untrainable: [
      {
        node: 'node "dice" (RandomNormalLike)',
        operator: 'RandomNormalLike',
        reason: expect.stringContaining('inside a branch or loop') as string,
      },
    ],
  });
});
