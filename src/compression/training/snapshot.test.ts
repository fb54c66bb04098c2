import { beforeAll, expect, test } from 'vitest';
import { startEngine } from '../tensor/engine.ts';
import { tf } from '../tensor/tf.ts';
import { disposeAll, type NamedVariable } from './named-variable.ts';
import { fitsSnapshot, restoreSnapshot, takeSnapshot } from './snapshot.ts';

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
});

const named = (
  kind: string,
  parameter: string,
  values: number[],
  shape: number[] = [values.length],
): NamedVariable => ({
  kind,
  parameter,
  variable: tf.tidy(() => tf.variable(tf.tensor(values, shape), false)),
});
const valuesOf = (variables: readonly NamedVariable[]) => variables.map(({ variable }) => [...variable.dataSync()]);

test('values come back to the variables of their names, in whatever order those stand', () => {
  const before = tf.memory().numTensors;
  const variables = [named('value', 'w', [1, 2]), named('mean', 'w', [3, 4]), named('value', 'mean w', [5])];
  const snapshot = takeSnapshot(variables);
  const others = [named('value', 'mean w', [0]), named('mean', 'w', [0, 0]), named('value', 'w', [0, 0])];
  expect(fitsSnapshot(others, snapshot)).toBe(true);
  restoreSnapshot(others, snapshot);
  expect(valuesOf(others)).toEqual([[5], [3, 4], [1, 2]]);
  disposeAll([...variables, ...others]);
  expect(tf.memory().numTensors).toBe(before);
});

test.each<[string, () => NamedVariable[]]>([
  ['another parameter', () => [named('value', 'v', [0, 0])]],
  ['another kind', () => [named('mean', 'w', [0, 0])]],
  ['another shape', () => [named('value', 'w', [0, 0], [2, 1])]],
  ['more than it holds', () => [named('value', 'w', [0, 0]), named('mean', 'w', [0, 0])]],
  ['less than it holds', () => []],
])('a snapshot does not fit %s', (_name, make) => {
  const variables = [named('value', 'w', [1, 2])];
  const others = make();
  expect(fitsSnapshot(others, takeSnapshot(variables))).toBe(false);
  disposeAll([...variables, ...others]);
});

test('two variables of one name are refused', () => {
  const variables = [named('value', 'w', [1]), named('value', 'w', [2])];
  expect(() => takeSnapshot(variables)).toThrow('There are two variables "value w"');
  disposeAll(variables);
});
