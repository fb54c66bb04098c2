/** Reads a dataset's target array as classes (by index or one-hot) or values. */
import { LatheError } from '../../errors.ts';
import { arrayFrom, chunksOf, elementCount, type StoredArray } from './array-store.ts';
import type { HostArray } from './dataset.ts';

export type Target =
  | { readonly kind: 'classes'; readonly labels: Int32Array; readonly classes: number }
  | { readonly kind: 'values'; readonly values: StoredArray };

const MAX_CLASSES = 10_000_000;

/**
 * Integers of shape [n] or [n, 1] are class indices. Rows that each hold a single 1 among zeros (any type) are one-hot
 * classes. Everything else is values. Errors: `malformed-dataset` naming the array and the sample.
 */
export function readTarget(array: StoredArray, name: string): Target {
  const width = elementCount(array.shape.slice(1));
  if (array.dtype !== 'float32' && width === 1 && array.shape.length <= 2) return classIndices(array, name);
  if (array.shape.length === 2 && width > 1) {
    const labels = oneHotLabels(array);
    if (labels) return { kind: 'classes', labels, classes: width };
  }
  return { kind: 'values', values: asValues(array, name) };
}

function classIndices(array: StoredArray, name: string): Target {
  const labels = new Int32Array(array.shape[0] ?? 0);
  let maxLabel = -1;
  for (const { start, rows } of chunksOf(array)) {
    for (let i = 0; i < rows.data.length; i++) {
      const label = Number(rows.data[i]);
      if (label < 0 || label >= MAX_CLASSES) throw badLabel(name, start + i, label);
      labels[start + i] = label;
      if (label > maxLabel) maxLabel = label;
    }
  }
  return { kind: 'classes', labels, classes: maxLabel + 1 };
}

export function badLabel(name: string, sample: number, label: number | string): LatheError {
  const message = `label ${label} of sample ${sample} is no class: classes are whole numbers from 0`;
  return new LatheError('malformed-dataset', `"${name}": ${message}`, [{ path: `${name}[${sample}]`, message }]);
}

function oneHotLabels(array: StoredArray): Int32Array | null {
  const [count = 0, width = 1] = array.shape;
  const labels = new Int32Array(count);
  for (const { start, rows } of chunksOf(array)) {
    for (let row = 0; row * width < rows.data.length; row++) {
      const label = hotIndex(rows.data, row * width, width);
      if (label < 0) return null;
      labels[start + row] = label;
    }
  }
  return labels;
}

/** Place of the only 1 among zeros; -1 for any other row. */
function hotIndex(data: HostArray['data'], at: number, width: number): number {
  let hot = -1;
  for (let i = 0; i < width; i++) {
    const value = Number(data[at + i]);
    if (value === 0) continue;
    if (value !== 1 || hot >= 0) return -1;
    hot = i;
  }
  return hot;
}

function asValues(array: StoredArray, name: string): StoredArray {
  if (array.dtype === 'float32') return array;
  const values = new Float32Array(elementCount(array.shape));
  let at = 0;
  for (const { rows } of chunksOf(array)) for (const value of rows.data) values[at++] = Number(value);
  if (at !== values.length) throw new LatheError('malformed-dataset', `"${name}" is shorter than its shape says`);
  array.close();
  return arrayFrom('float32', array.shape, values);
}
