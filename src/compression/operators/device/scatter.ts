/** Rows put into, or combined with, rows of a tensor, differentiable in both. Where they go is known on the host. */
import { nth } from '../../ir/checked-access.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';
import { maximum, minimum } from './elementwise.ts';
import { addRows, takeRows } from './rows.ts';

export type Reduction = 'none' | 'add' | 'mul' | 'max' | 'min';

const COMBINE = { mul: (a: TfTensor, b: TfTensor) => tf.mul(a, b), max: maximum, min: minimum } as const;
const NEUTRAL = { mul: 1, max: -Infinity, min: Infinity } as const;

/** data [n, k] with updates [m, k] at these rows. Of several updates of one row the last stays, or all are combined. */
export function scatterRows(
  data: TfTensor,
  rows: readonly number[],
  updates: TfTensor,
  reduction: Reduction,
): TfTensor {
  if (rows.length === 0 || data.size === 0) return tf.clone(data);
  if (reduction === 'none')
    return replaceRows(
      data,
      rows,
      rows.map((_, i) => i),
      updates,
    );
  if (reduction === 'add') return tf.add(data, addRows(updates, rowTensor(rows), nth(data.shape, 0)));
  const touched = [...new Set(rows)].sort((a, b) => a - b);
  const combined = combineByRow(rows, touched, updates, reduction);
  const present = takeRows(data, rowTensor(touched));
  return replaceRows(
    data,
    touched,
    touched.map((_, i) => i),
    COMBINE[reduction](present, combined),
  );
}

/** Row rows[i] of the result is updates[sources[i]], the others are data's: one choice among both. */
function replaceRows(data: TfTensor, rows: readonly number[], sources: readonly number[], updates: TfTensor): TfTensor {
  const n = nth(data.shape, 0);
  const chosen = Int32Array.from({ length: n }, (_, row) => row);
  rows.forEach((row, i) => {
    chosen[row] = n + sources[i]!;
  });
  return takeRows(tf.concat([data, updates], 0), tf.tensor1d(chosen, 'int32'));
}

/**
 * All updates of each row combined, [touched.length, k]: neighbours pairwise, in as many rounds as the most updates of
 * a row have bits.
 */
function combineByRow(
  rows: readonly number[],
  touched: readonly number[],
  updates: TfTensor,
  reduction: 'mul' | 'max' | 'min',
): TfTensor {
  let groups = groupByRow(rows, touched);
  let items = updates;
  while (groups.some((group) => group.length > 1)) {
    const neutral = nth(items.shape, 0);
    const pairs = groups.map((group) => pairUp(group, neutral));
    const padded = tf.concat([items, tf.fill([1, nth(items.shape, 1)], NEUTRAL[reduction])], 0);
    const side = (which: 0 | 1): TfTensor => takeRows(padded, rowTensor(pairs.flat().map((pair) => pair[which])));
    items = COMBINE[reduction](side(0), side(1));
    let next = 0;
    groups = pairs.map((list) => list.map(() => next++));
  }
  return takeRows(items, rowTensor(groups.map((group) => nth(group, 0))));
}

function groupByRow(rows: readonly number[], touched: readonly number[]): number[][] {
  const byRow = new Map<number, number[]>(touched.map((row) => [row, []]));
  rows.forEach((row, i) => byRow.get(row)!.push(i));
  return touched.map((row) => byRow.get(row)!);
}

function pairUp(group: readonly number[], neutral: number): [number, number][] {
  return Array.from({ length: Math.ceil(group.length / 2) }, (_, i) => [group[2 * i]!, group[2 * i + 1] ?? neutral]);
}

function rowTensor(rows: readonly number[]): TfTensor {
  return tf.tensor1d([...rows], 'int32');
}
