/** Splits a batch into micro-batches. */
import type { Batch, HostArray } from '../../data/dataset.ts';

/** Contiguous, of sizes that differ by one at most; fewer than `count` where there are fewer samples. */
export function splitBatch(batch: Batch, count: number): readonly Batch[] {
  const parts = Math.max(1, Math.min(count, batch.size));
  return Array.from({ length: parts }, (_, i) => {
    const [from, to] = [Math.ceil((i * batch.size) / parts), Math.ceil(((i + 1) * batch.size) / parts)];
    const part = (array: HostArray): HostArray => rows(array, batch.size, from, to);
    return {
      size: to - from,
      inputs: new Map([...batch.inputs].map(([name, array]) => [name, part(array)])),
      target: batch.target && part(batch.target),
    };
  });
}

/** An array that has not a row for each sample (a scalar input) goes to all. */
function rows(array: HostArray, samples: number, from: number, to: number): HostArray {
  const { shape, data } = array;
  if (shape[0] !== samples) return array;
  const width = data.length / samples;
  return { ...array, shape: [to - from, ...shape.slice(1)], data: data.subarray(from * width, to * width) };
}
