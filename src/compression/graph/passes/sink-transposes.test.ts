import { describe, expect, it } from 'vitest';
import { floats, modelOf, runInOnnxRuntime, spread, tensor, value } from '../../../../test/support/graphs.ts';
import { makeNode } from '../../ir/edit.ts';
import { transposeTensor } from '../../ir/transpose-tensor.ts';
import { hostNumbers, toHost } from '../../ir/tensor-data.ts';
import type { Model, Node, Tensor } from '../../ir/types.ts';
import { sinkTransposes } from './sink-transposes.ts';

const toFirst = (x: string, y: string): Node => makeNode('Transpose', [x], [y], { perm: [0, 3, 1, 2] });
const toLast = (x: string, y: string): Node => makeNode('Transpose', [x], [y], { perm: [0, 2, 3, 1] });
const count = (model: Model, type = 'Transpose'): number =>
  model.graph.nodes.filter(({ opType }) => opType === type).length;

/**
 * Two convolutions as channels-last importers write them, with `between` from "a" to "b" in channels-last order [2, 6,
 * 5, 4].
 */
function network(between: readonly Node[], initializers: readonly Tensor[] = [], channels = 4): Model {
  return modelOf({
    nodes: [
      toFirst('x', 'x1'),
      makeNode('Conv', ['x1', 'w1'], ['c1']),
      toLast('c1', 'a'),
      ...between,
      toFirst('b', 'b1'),
      makeNode('Conv', ['b1', 'w2'], ['c2']),
      toLast('c2', 'y'),
    ],
    initializers: [
      tensor('w1', [4, 3, 3, 3], spread(108)),
      tensor('w2', [2, channels, 1, 1], spread(2 * channels)),
      ...initializers,
    ],
    inputs: [value('x', [2, 8, 7, 3])],
    outputs: [value('y', null)],
  });
}

async function expectEqual(model: Model, sunk: Model): Promise<void> {
  const feeds = { x: floats([2, 8, 7, 3]) };
  const [before, after] = [await runInOnnxRuntime(model, feeds), await runInOnnxRuntime(sunk, feeds)];
  for (const [name, { dims, data }] of before) {
    expect(after.get(name)!.dims).toEqual(dims);
    const worst = Math.max(
      ...Array.from(data as Float32Array, (number, i) => Math.abs(number - Number(after.get(name)!.data[i]))),
    );
    expect(worst).toBeLessThan(1e-5); // sums may run in another order
  }
}

const ints = (name: string, values: readonly number[]): Tensor => tensor(name, [values.length], values, 'int64');

describe('sinkTransposes leaves two transposes, at the input and the output, through', () => {
  it.each<[string, Model]>([
    [
      'elementwise operators',
      network(
        [makeNode('Relu', ['a'], ['r']), makeNode('Clip', ['r', 'lo', 'hi'], ['b'])],
        [tensor('lo', [], [0]), tensor('hi', [], [0.3])],
      ),
    ],
    [
      'a bias and a scale along the channels',
      network(
        [makeNode('Add', ['a', 'bias'], ['s']), makeNode('Mul', ['gain', 's'], ['b'])],
        [tensor('bias', [4], spread(4)), tensor('gain', [1, 1, 1, 4], spread(4, 3))],
      ),
    ],
    [
      'a constant of full size',
      network([makeNode('Sub', ['a', 'map'], ['b'])], [tensor('map', [6, 5, 4], spread(120))]),
    ],
    ['a residual connection', network([makeNode('Relu', ['a'], ['r']), makeNode('Add', ['a', 'r'], ['b'])])],
    [
      'concatenation of channels',
      network([makeNode('Neg', ['a'], ['n']), makeNode('Concat', ['a', 'n'], ['b'], { axis: -1 })], [], 8),
    ],
    ['padding', network([makeNode('Pad', ['a', 'pads'], ['b'])], [ints('pads', [0, 1, 2, 0, 0, 2, 1, 0])])],
    [
      'slicing',
      network(
        [makeNode('Slice', ['a', 'starts', 'ends', 'axes'], ['b'])],
        [ints('starts', [1, 0]), ints('ends', [5, 4]), ints('axes', [1, -2])],
      ),
    ],
    ['softmax over channels', network([makeNode('Softmax', ['a'], ['b'], { axis: -1 })])],
    [
      'means over pixels, kept',
      network([
        makeNode('ReduceMean', ['a'], ['m'], { axes: [1, 2], keepdims: 1 }),
        makeNode('Mul', ['a', 'm'], ['b']),
      ]),
    ],
    [
      'an axis put in and taken out',
      network(
        [
          makeNode('Unsqueeze', ['a', 'one'], ['u']),
          makeNode('Relu', ['u'], ['r']),
          makeNode('Squeeze', ['r', 'one'], ['b']),
        ],
        [ints('one', [1])],
      ),
    ],
    [
      'two transposes of the model itself',
      network([
        makeNode('Transpose', ['a'], ['t'], { perm: [0, 2, 1, 3] }),
        makeNode('Relu', ['t'], ['r']),
        makeNode('Transpose', ['r'], ['b'], { perm: [0, 2, 1, 3] }),
      ]),
    ],
  ])('%s', async (_, model) => {
    const sunk = sinkTransposes(model);
    expect(count(sunk)).toBe(2);
    await expectEqual(model, sunk);
  });
});

describe('sinkTransposes keeps what the model computes', () => {
  it.each<[string, Model]>([
    [
      'before a Reshape, which needs the order',
      network(
        [
          makeNode('Reshape', ['a', 'flat'], ['f']),
          makeNode('Relu', ['f'], ['g']),
          makeNode('Reshape', ['g', 'shape'], ['b']),
        ],
        [ints('flat', [2, -1]), ints('shape', [2, 6, 5, 4])],
      ),
    ],
    [
      'where operands lie in different orders',
      network([
        makeNode('Transpose', ['c1'], ['other'], { perm: [0, 2, 3, 1] }),
        makeNode('Transpose', ['x'], ['p'], { perm: [0, 1, 2, 3] }),
        makeNode('Add', ['a', 'other'], ['b']),
      ]),
    ],
    [
      'where a mean drops axes',
      network(
        [
          makeNode('ReduceMean', ['a'], ['m'], { axes: [1, 2], keepdims: 0 }),
          makeNode('Reshape', ['m', 'shape'], ['v']),
          makeNode('Mul', ['a', 'v'], ['b']),
        ],
        [ints('shape', [2, 1, 1, 4])],
      ),
    ],
  ])('%s', async (_, model) => {
    const sunk = sinkTransposes(model);
    expect(count(sunk)).toBeLessThanOrEqual(count(model));
    await expectEqual(model, sunk);
  });

  it('also for values in the middle that are outputs, under their names', async () => {
    const model = network([makeNode('Relu', ['a'], ['r']), makeNode('Add', ['r', 'a'], ['b'])]);
    const open = {
      ...model,
      graph: { ...model.graph, outputs: [...model.graph.outputs, value('r', null), value('a', null)] },
    };
    await expectEqual(open, sinkTransposes(open));
  });

  it('and the model itself where nothing is gained', () => {
    const model = modelOf({
      nodes: [makeNode('Transpose', ['x'], ['t'], { perm: [1, 0] }), makeNode('Relu', ['t'], ['y'])],
      inputs: [value('x', [2, 3])],
      outputs: [value('y', [3, 2])],
    });
    expect(sinkTransposes(model)).toBe(model);
  });
});

it('transposes the elements of a tensor', () => {
  const moved = transposeTensor(tensor('t', [2, 3, 1], [1, 2, 3, 4, 5, 6], 'int16'), [2, 1, 0]);
  expect(moved.dims).toEqual([1, 3, 2]);
  expect(hostNumbers(toHost(moved))).toEqual([1, 4, 2, 5, 3, 6]);
});
