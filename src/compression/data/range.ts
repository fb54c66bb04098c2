/** The least and the greatest value of an integer input, and the samples that have them. */
import type { Extreme, InputRange } from '../../contracts/dataset.ts';
import type { StoredArray } from './array-store.ts';
import type { SplitName } from './dataset.ts';

const ROWS_PER_CHUNK = 4096;
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
    for (const [sample, row] of samplesOf(array))
      for (const element of row) {
        const value = Number(element);
        if (!min || value < min.value) min = { value, split, sample };
        if (!max || value > max.value) max = { value, split, sample };
      }
  }
  return min && max ? { input: name, min, max } : null;
}

function* samplesOf(array: StoredArray): Generator<readonly [number, Iterable<number | bigint>]> {
  const [count = 0] = array.shape;
  for (let start = 0; start < count; start += ROWS_PER_CHUNK) {
    const size = Math.min(ROWS_PER_CHUNK, count - start);
    const { data } = array.rows(Int32Array.from({ length: size }, (_, i) => start + i));
    const width = data.length / size;
    for (let i = 0; i < size; i++) yield [start + i, data.subarray(i * width, (i + 1) * width)];
  }
}
