/** Integers of a dataset against the tables that they index. */
import { expect, it } from 'vitest';
import { makeNode } from '../ir/edit.ts';
import { describeModel } from '../graph/describe.ts';
import type { Node } from '../ir/types.ts';
import { modelOf, spread, tensor, value } from '../../../test/support/graphs.ts';
import { arrayDataset } from './array-dataset.ts';
import type { SplitArrays } from './array-split.ts';
import { arrayFrom } from './array-store.ts';
import { indexProblems } from './match.ts';

/** Rows of `users` [5, 3] and `items` [4, 3]. */
const model = (nodes: readonly Node[], inputs: readonly string[]) =>
  describeModel(
    modelOf({
      nodes,
      initializers: [tensor('users', [5, 3], spread(15)), tensor('items', [4, 3], spread(12))],
      inputs: inputs.map((name) => value(name, ['n'], 'int64')),
      outputs: [value('y', ['n', 3])],
    }),
    'onnx',
  );
const twoTables = model(
  [
    makeNode('Gather', ['users', 'user'], ['u']),
    makeNode('Cast', ['item'], ['item32'], { to: 6 }),
    makeNode('Gather', ['items', 'item32'], ['i']),
    makeNode('Add', ['u', 'i'], ['y']),
  ],
  ['user', 'item'],
);

const part = (columns: Readonly<Record<string, readonly number[]>>): SplitArrays => ({
  inputs: new Map(
    Object.entries(columns).map(([name, data]) => [
      name,
      arrayFrom('int64', [data.length], BigInt64Array.from(data, BigInt)),
    ]),
  ),
  target: null,
});
const described = (train: SplitArrays, test?: SplitArrays) =>
  arrayDataset('npz', new Map([['train', train] as const, ...(test ? [['test', test] as const] : [])]), { name: 'y' })
    .description;

it('names input, sample, value and range of the first that is too great', () => {
  const data = described(part({ user: [0, 4, -5, 5, 9], item: [0, 1, 2, 3, -4] }));
  expect(indexProblems(twoTables, data)).toEqual([
    {
      path: '/dataset',
      message: 'dataset input "user" holds 9 in sample 4; model input "user" takes indices 0..4 (a table of 5 rows)',
    },
  ]);
});

it('finds one below the range, and in another split', () => {
  const data = described(part({ user: [0, 1], item: [0, 3] }), part({ user: [2, 3], item: [0, -5] }));
  expect(indexProblems(twoTables, data)).toMatchObject([
    { message: expect.stringContaining('input "item" holds -5 in sample 1 of the test split') as string },
  ]);
});

it('says nothing of indices in range', () => {
  expect(indexProblems(twoTables, described(part({ user: [0, 4, -5], item: [3, -4, 0] })))).toEqual([]);
});

it('does not hold values to a table that only some of them index', () => {
  const packed = model(
    [makeNode('Slice', ['pair', 'zero', 'one', 'zero'], ['first']), makeNode('Gather', ['users', 'first'], ['y'])],
    ['pair'],
  );
  expect(packed.inputs[0]).not.toHaveProperty('tableRows');
});
