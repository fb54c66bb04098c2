/** The least and the greatest value of an integer input, and the samples that have them. */
import type { Extreme, InputRange } from '../../contracts/dataset.ts';
import { chunksOf, type StoredArray } from './array-store.ts';
import type { SplitName } from './dataset.ts';

const INTEGERS: ReadonlySet<string> = new Set(['int32', 'int64']);

interface Part {
  readonly inputs: ReadonlyMap<string, StoredArray>;
}

/** null for inputs that are no integers of 32 or 64 bits. */
export function rangeOf(name: string, parts: ReadonlyMap<SplitName, Part>): InputRange | null {
  let [min, max]: (Extreme | null)[] = [null, null];
  for (const [split, { inputs }] of parts) {
    const array = inputs.get(name);
    if (!array || !INTEGERS.has(array.dtype)) continue;
    for (const { start, rows } of chunksOf(array)) {
      const width = rows.data.length / (rows.shape[0] ?? 1);
      for (let i = 0; i < rows.data.length; i++) {
        const value = Number(rows.data[i]); // hot: every element of the input
        if (min && max && value >= min.value && value <= max.value) continue;
        const extreme: Extreme = { value, split, sample: start + Math.floor(i / width) };
        if (!min || value < min.value) min = extreme;
        if (!max || value > max.value) max = extreme;
      }
    }
  }
  return min && max ? { input: name, min, max } : null;
}
