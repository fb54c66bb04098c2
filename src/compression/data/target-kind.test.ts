/** Whole numbers as classes or as values. */
import { expect, it } from 'vitest';
import type { DatasetDescription } from '../../contracts/dataset.ts';
import type { ModelDescription } from '../../contracts/model.ts';
import { arrayDataset } from './array-dataset.ts';
import { arrayFrom } from './array-store.ts';
import { datasetAsValues, readsAsValues, targetKindProblems } from './target-kind.ts';

const classes = (count: number, names?: string[]): DatasetDescription['target'] => ({
  kind: 'classes',
  classes: count,
  ...(names && { names }),
});
const giving = (dtype: string, shape: (number | null)[]) =>
  ({ outputs: [{ name: 'y', dtype, shape }] }) as unknown as ModelDescription;

it.each([
  ['ratings against one float', classes(6), giving('float32', [null]), true],
  ['counts against [n, 1]', classes(11), giving('float32', [null, 1]), true],
  ['two classes against one score', classes(2), giving('float32', [null, 1]), false],
  ['classes against scores', classes(10), giving('float32', [null, 10]), false],
  ['names against one float', classes(3, ['a', 'b', 'c']), giving('float32', [null, 1]), false],
  ['labels against a label', classes(6), giving('int64', [null]), false],
])('%s', (_, target, model, expected) => expect(readsAsValues(undefined, target, model)).toBe(expected));

it('follows the job before the guess', () => {
  expect(readsAsValues({ kind: 'values' }, classes(2), giving('float32', [null, 1]))).toBe(true);
  expect(readsAsValues({ kind: 'classes' }, classes(6), giving('float32', [null]))).toBe(false);
});

it('says what cannot be read as asked', () => {
  const said = (...args: Parameters<typeof targetKindProblems>) =>
    targetKindProblems(...args).map(({ message }) => message);
  expect(said({ kind: 'values' }, classes(3, ['a', 'b', 'c']))).toEqual([
    'the target holds names of classes, which are no values',
  ]);
  expect(said({ kind: 'classes' }, { kind: 'values', classes: null, shape: [] })[0]).toMatch(
    /upload whole numbers from 0/,
  );
  expect(said({ kind: 'values' }, { kind: 'none', classes: null })).toEqual([
    'the dataset has no target that could be values',
  ]);
  expect(said({ kind: 'auto' }, classes(3))).toEqual([]);
});

it('gives the numbers of the samples as floats', async () => {
  const x = arrayFrom('float32', [4, 1], Float32Array.of(0, 1, 2, 3));
  const y = arrayFrom('int64', [4], BigInt64Array.of(5n, 1n, 4n, 2n));
  const dataset = datasetAsValues(
    arrayDataset('npz', new Map([['train', { inputs: new Map([['x', x]]), target: y }]]), { name: 'y' }),
  );
  expect(dataset.description.target).toEqual({ kind: 'values', classes: null, shape: [] });
  const split = dataset.split('train');
  expect(split.labels).toBeUndefined();
  const { inputs, target } = await split.read([0, 2]);
  const [first, second] = inputs.get('x')!.data as Float32Array;
  const truth = [5, 1, 4, 2];
  expect(target).toEqual({ dtype: 'float32', shape: [2], data: Float32Array.of(truth[first!]!, truth[second!]!) });
});
