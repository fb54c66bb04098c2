/**
 * Running statistics that several workers move. A worker's are those that it pulled, blended with its batches'; what it
 * added is applied in the share 1 / (staleness + 1), so that as many late workers together move them as far as one on
 * time. Added whole, they would overshoot: with momentum 0.9 and a staleness of 16 or more the recursion is unstable.
 */
import { entryOf } from '../../ir/checked-access.ts';
import type { Tensors } from './tensors.ts';

export interface MovedStatistics {
  readonly moved: { readonly after: Tensors; readonly before: Tensors };
  readonly weight: number;
}

export function mergeStatistics(present: Tensors, parts: readonly MovedStatistics[], staleness: number): Tensors {
  const [only] = parts;
  if (only && parts.length === 1 && staleness === 0) return new Map([...present, ...only.moved.after]);
  const total = parts.reduce((sum, { weight }) => sum + weight, 0);
  return new Map(
    [...present].map(([name, values]) => {
      const next = Float64Array.from(values);
      for (const { moved, weight } of parts) {
        const after = moved.after.get(name);
        if (!after) continue;
        const before = entryOf(moved.before, name, 'statistic');
        const share = weight / total / (staleness + 1);
        for (let i = 0; i < next.length; i++) next[i]! += share * (after[i]! - before[i]!);
      }
      return [name, Float32Array.from(next)];
    }),
  );
}
